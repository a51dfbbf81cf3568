// What it is like before an agent runs: the control plane really cannot reach the nodes, and what kubectl says is clear.
import tls from 'node:tls';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const kubeletPort = 10250;

export async function withoutTunnel(stage: TunnelStage): Promise<void> {
  const { report, nodes } = stage;
  await report.check('both sites have the same addresses', () => {
    const [first, second] = nodes.map(({ site }) => site.nodeAddress);
    expectThat(first === second, `${first} and ${second}`);
    return first;
  });
  await report.check('the API server takes the manifest of the static pod', async () => {
    await stage.applyConfig('static-pod.yaml', ['--dry-run=server']);
  });
  for (const { name, site } of nodes) {
    await report.check(`the control plane cannot reach ${name}`, async () => {
      for (const host of [site.nodeAddress, site.routerAddress]) {
        const whose = await knock(host);
        expectThat(!whose.startsWith(`${name}@`), `${host}:${kubeletPort} is the kubelet of ${whose}`);
      }
    });
    await report.check(`kubectl logs from ${name} fails at once and says why`, async () => {
      const { code, stderr } = await stage.kubectl(['logs', podOf(name)]);
      expectThat(code !== 0 && stderr.includes(`node ${name} is not connected to the tunnel`), stderr);
      return stderr.trim().slice(0, 160);
    });
  }
}

/** Whose certificate is shown there; empty if none. Networks around this machine may accept connections to any address. */
function knock(host: string): Promise<string> {
  return new Promise((resolve) => {
    // Nothing is sent or believed: whoever answers there is only asked for a name, and a kubelet's certificate is its own.
    const socket = tls.connect({ host, port: kubeletPort, rejectUnauthorized: false, timeout: 1_500 });
    const end = (whose: string): void => {
      socket.destroy();
      resolve(whose);
    };
    // kubelet's own serving certificate: NODE@TIME.
    socket.on('secureConnect', () => end(String(socket.getPeerCertificate().subject.CN)));
    socket.on('timeout', () => end(''));
    socket.on('error', () => end(''));
    socket.on('close', () => end(''));
  });
}
