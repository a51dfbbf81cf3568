// Certificates of nodes with the real signer: what the approver approves is signed, and what it leaves alone is explained.
import { X509Certificate } from 'node:crypto';
import https from 'node:https';
import { Controllers } from '../../../controllers/controllers.ts';
import { certificateApprover } from '../../../controllers/certificate-approver/certificate-approver.ts';
import { servingSigner } from '../../../controllers/certificate-approver/decision.ts';
import { nodeSubject, requestPem } from '../../../controllers/certificate-approver/request.testing.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { nullLog } from '../../../runtime/log.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { waitFor } from '../../cluster/commands.ts';
import type { PemPair } from '../../cluster/certificates.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithControlPlane } from '../../cluster/integration.ts';
import { ServiceAccountAccess } from './cluster.ts';

interface Csr {
  readonly status?: {
    readonly conditions?: { readonly type: string; readonly reason: string }[];
    readonly certificate?: string;
  };
}

const csrs = '/apis/certificates.k8s.io/v1/certificatesigningrequests';

describeWithControlPlane('certificates of nodes', () => {
  let plane: ControlPlane;
  const stop = new AbortController();
  let ended: Promise<void>;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: true });
    await applyConfig(plane, 'controllers/machinery.yaml', 'controllers/certificate-approver.yaml');
    const access = await ServiceAccountAccess.of(plane);
    const parts = { access, log: nullLog, clock: systemClock, metrics: new Metrics(), random: Math.random };
    const opsListen = { host: '127.0.0.1', port: 0 };
    const options = {
      version: 'test',
      identity: 'test',
      leaseNamespace: 'kube-system',
      requestsPerSecond: 50,
      opsListen,
    };
    ended = new Controllers(parts, options, [certificateApprover]).run(stop.signal);
    for (const [name, address] of [
      ['edge1', '192.168.7.11'],
      ['edge2', '192.168.7.12'],
    ] as const) {
      await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
      await plane.request('PATCH', `/api/v1/nodes/${name}/status`, {
        status: { addresses: [{ type: 'InternalIP', address }] },
      });
    }
  });
  afterAll(async () => {
    stop.abort();
    await ended;
    await plane?.stop();
  });

  /** Gives the name of the request; `by` is a certificate of who asks. */
  async function ask(
    { certificate: cert, key }: PemPair,
    subjectNode: string,
    names: readonly string[],
  ): Promise<string> {
    const body = JSON.stringify({
      apiVersion: 'certificates.k8s.io/v1',
      kind: 'CertificateSigningRequest',
      metadata: { generateName: 'csr-' },
      spec: {
        request: Buffer.from(requestPem({ subject: nodeSubject(subjectNode), names })).toString('base64'),
        signerName: servingSigner,
        usages: ['digital signature', 'server auth'],
      },
    });
    const text = await new Promise<string>((resolve, reject) => {
      const headers = { 'content-type': 'application/json' };
      const request = https.request(
        `${plane.url}${csrs}`,
        { method: 'POST', ca: plane.ca, cert, key, agent: false, headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve(Buffer.concat(chunks).toString()));
        },
      );
      request.on('error', reject);
      request.end(body);
    });
    return (JSON.parse(text) as { metadata: { name: string } }).metadata.name;
  }

  const csr = (name: string): Promise<Csr> => plane.request<Csr>('GET', `${csrs}/${name}`);

  async function toldAbout(name: string): Promise<string[]> {
    const { items } = await plane.request<{ items: { reason: string; involvedObject: { name: string } }[] }>(
      'GET',
      '/api/v1/namespaces/default/events',
    );
    return items.filter(({ involvedObject }) => involvedObject.name === name).map(({ reason }) => reason);
  }

  it('a node gets a serving certificate for its own name and address', async () => {
    const name = await ask(plane.nodeCertificate('edge1'), 'edge1', ['edge1', '192.168.7.11']);
    await waitFor('the certificate', async () => (await csr(name)).status?.certificate, { deadlineMs: 120_000 });
    const { status } = await csr(name);
    expect(status?.conditions).toMatchObject([{ type: 'Approved', reason: 'HoldfastServingCertificate' }]);
    const certificate = new X509Certificate(Buffer.from(status?.certificate ?? '', 'base64'));
    expect(certificate.subject).toBe('O=system:nodes\nCN=system:node:edge1');
    expect(certificate.subjectAltName).toBe('DNS:edge1, IP Address:192.168.7.11');
  });

  it('a request of somebody else, and one with the address of the API service, are left alone, and it is said why', async () => {
    const service = await plane.request<{ spec: { clusterIP: string } }>(
      'GET',
      '/api/v1/namespaces/default/services/kubernetes',
    );
    const { clusterIP } = service.spec;
    await plane.request('PATCH', '/api/v1/nodes/edge2/status', {
      status: { addresses: [{ type: 'InternalIP', address: clusterIP }] },
    });
    // From a node the API server itself would refuse that (NodeRestriction).
    const foreign = await ask(plane.clientCertificate('somebody', ['system:masters']), 'edge1', ['edge1']);
    const posing = await ask(plane.nodeCertificate('edge2'), 'edge2', [clusterIP]);
    await waitFor(
      'both are explained',
      async () => {
        const told = [...(await toldAbout(foreign)), ...(await toldAbout(posing))];
        return told.join() === 'WrongRequester,AddressOfTheApiService';
      },
      { deadlineMs: 120_000 },
    );
    for (const name of [foreign, posing]) expect((await csr(name)).status?.conditions ?? []).toEqual([]);
  });

  it('a request that comes before the address of its node is approved when that has arrived', async () => {
    const name = await ask(plane.nodeCertificate('edge2'), 'edge2', ['192.168.7.22']);
    await plane.request('PATCH', '/api/v1/nodes/edge2/status', {
      status: { addresses: [{ type: 'InternalIP', address: '192.168.7.22' }] },
    });
    await waitFor('the certificate', async () => (await csr(name)).status?.certificate, { deadlineMs: 120_000 });
  });
});
