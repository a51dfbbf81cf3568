import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import https from 'node:https';
import { ControlPlane } from './control-plane.ts';
import { describeWithApiserver } from './integration.ts';

describeWithApiserver('the light control plane', () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
  });

  afterAll(async () => {
    await plane.stop();
    expect(existsSync(plane.dir)).toBe(false);
    expect(plane.processes.names().filter((name) => plane.processes.running(name))).toEqual([]);
  });

  it('is the pinned version', async () => {
    expect(await plane.request('GET', '/version')).toMatchObject({ gitVersion: 'v1.34.4' });
  });

  it('lets a node read its own Node and no other', async () => {
    for (const name of ['edge1', 'edge2']) {
      await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name } });
    }
    const { certificate: cert, key } = plane.nodeCertificate('edge1');
    const status = (name: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const options = { ca: plane.ca, cert, key, agent: false as const };
        https
          .get(`${plane.url}/api/v1/nodes/${name}`, options, (response) => {
            response.resume();
            resolve(response.statusCode);
          })
          .on('error', reject);
      });
    expect(await status('edge1')).toBe(200);
    expect(await status('edge2')).toBe(403);
  });

  it('gives node certificates the validity that a drill asks for', () => {
    const notAfter = new Date(Math.floor(Date.now() / 1000) * 1000 + 60_000);
    const certificate = new X509Certificate(plane.nodeCertificate('edge1', { notAfter }).certificate);
    expect(new Date(certificate.validTo)).toEqual(notAfter);
    expect(certificate.subject).toBe('O=system:nodes\nCN=system:node:edge1');
  });

  it('issues service account tokens', async () => {
    const token = await plane.token('default', 'builder');
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub: string };
    expect(claims.sub).toBe('system:serviceaccount:default:builder');
  });

  it('keeps its objects and its port when the API server restarts', async () => {
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kept' } };
    await plane.request('POST', '/api/v1/namespaces', namespace);
    await plane.restartApiserver();
    expect(await plane.request('GET', '/api/v1/namespaces/kept')).toMatchObject({ metadata: { name: 'kept' } });
  });

  it('can be found again by its state folder', async () => {
    const again = ControlPlane.attach(plane.dir);
    expect(again.url).toBe(plane.url);
    expect(readFileSync(again.caFile, 'utf8')).toBe(plane.ca);
    expect(await again.request('GET', '/version')).toMatchObject({ major: '1' });
    again.close();
  });

  it('rejects with the status that the API server gave', async () => {
    await expect(plane.request('GET', '/api/v1/namespaces/none')).rejects.toMatchObject({ status: 404 });
  });
});
