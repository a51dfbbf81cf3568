import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { describeApiContract } from './contract.ts';

describeWithApiserver('the real kube-apiserver', () => {
  describeApiContract(async () => {
    const plane = await ControlPlane.start({ controllers: false });
    // The watch cache of a new process has forgotten everything before it.
    await plane.restartApiserver();
    const operator = plane.clientCertificate('operator', ['system:masters']);
    return {
      target: {
        url: plane.url,
        caPem: plane.ca,
        credential: { certificatePem: operator.certificate, privateKeyPem: operator.key },
      },
      stop: () => plane.stop(),
    };
  });
});
