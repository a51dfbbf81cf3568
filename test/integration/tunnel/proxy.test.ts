// The CONNECT proxy, judged by a real kube-apiserver: who a client is and what it may reach, the cluster decides.
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { ControlPlane } from '../../cluster/control-plane.ts';
import type { PemPair } from '../../cluster/certificates.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { eventually, readAll, roundTrip, TunnelTest, type RunningServer } from './parts.ts';

describeWithApiserver('the CONNECT proxy', () => {
  let plane: ControlPlane;
  let test_: TunnelTest;
  let server: RunningServer;
  let port: number;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const group = { apiVersion: 'rbac.authorization.k8s.io/v1' };
    const role = async (name: string, rules: unknown[], subject: Record<string, string>): Promise<void> => {
      await plane.request('POST', `${rbac}/clusterroles`, { ...group, kind: 'ClusterRole', metadata: { name }, rules });
      await plane.request('POST', `${rbac}/clusterrolebindings`, {
        ...group,
        kind: 'ClusterRoleBinding',
        metadata: { name },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
        subjects: [subject],
      });
    };
    await role('scraper', [{ apiGroups: [''], resources: ['nodes/proxy'], resourceNames: ['edge1'], verbs: ['get'] }], {
      kind: 'ServiceAccount',
      name: 'scraper',
      namespace: 'default',
    });
    await role(
      'tunnel-server',
      [
        { apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['list', 'watch'] },
        { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
        { apiGroups: ['authorization.k8s.io'], resources: ['subjectaccessreviews'], verbs: ['create'] },
      ],
      { kind: 'User', name: 'tunnel-server', apiGroup: 'rbac.authorization.k8s.io' },
    );
  });
  afterAll(() => plane.stop());

  beforeEach(async () => {
    test_ = new TunnelTest();
    for (const name of ['edge1', 'edge2']) await addNode(name);
    server = await test_.server({
      proxyListen: '127.0.0.1:0',
      clientCAFile: plane.caFile,
      kubeconfig: plane.kubeconfig('tunnel-server', []),
      maxStreamsPerClient: '3',
    });
    port = await test_.echo();
    for (const name of ['edge1', 'edge2']) startAgent(name);
    await eventually('both nodes are connected', async () => (await server.nodes()).length === 2);
  });
  afterEach(async () => {
    await test_.close();
    for (const name of ['edge1', 'edge2']) await plane.rawRequest('DELETE', `/api/v1/nodes/${name}`);
  });

  async function addNode(name: string): Promise<void> {
    await plane.request('POST', '/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels: { 'holdfast.dev/tunnel': 'true' } },
    });
  }

  function startAgent(name: string): void {
    const pem = test_.writePair(`${name}.pem`, plane.nodeCertificate(name));
    // The test's own CA signed the server's certificate.
    test_.agent(name, [server.addresses.agents.port], {
      certificateFile: pem,
      keyFile: pem,
      kubeletAddress: `127.0.0.1:${port}`,
    });
  }

  async function connect(
    authority: string,
    { token, header, pair }: { token?: string; header?: string; pair?: PemPair },
  ): Promise<{ socket: tls.TLSSocket; status: number; head: string }> {
    const tcp = net.connect({ host: '127.0.0.1', port: server.addresses.proxy!.port, allowHalfOpen: true });
    const socket = tls.connect({
      socket: tcp,
      ca: test_.authority.pair.certificate,
      host: '127.0.0.1',
      ...(pair === undefined ? {} : { cert: pair.certificate, key: pair.key }),
    });
    socket.on('error', () => undefined);
    test_.defer(() => void socket.destroy());
    const authorization = header ?? (token === undefined ? undefined : `Bearer ${token}`);
    socket.write(
      `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n${authorization === undefined ? '' : `Proxy-Authorization: ${authorization}\r\n`}\r\n`,
    );
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    socket.pause();
    const head = chunk.toString('latin1');
    return { socket, status: Number(head.split(' ')[1]), head };
  }

  test('a token with the right reaches its node, by either header, and half-close passes', async () => {
    const token = await plane.token('default', 'scraper');
    for (const header of [`Bearer ${token}`, `Basic ${Buffer.from(`any:${token}`).toString('base64')}`]) {
      const { socket, status } = await connect(`edge1:${port}`, { header });
      expect(status).toBe(200);
      socket.write('hello');
      socket.end();
      expect((await readAll(socket)).toString()).toBe('hellobye');
    }
  });

  test('without the right it is 403 and says which one is missing', async () => {
    const scraper = await plane.token('default', 'scraper');
    const other = await plane.token('default', 'other');
    expect((await connect(`edge2:${port}`, { token: scraper })).head).toContain(
      '403 system:serviceaccount:default:scraper may not get nodes/proxy of edge2',
    );
    expect((await connect(`edge1:${port}`, { token: other })).status).toBe(403);
    // A node's own certificate is a client like any other: it has no rights over its neighbours.
    expect((await connect(`edge2:${port}`, { pair: plane.nodeCertificate('edge1') })).status).toBe(403);
  });

  test('a client certificate of the cluster counts, one of another CA does not', async () => {
    const admin = plane.clientCertificate('admin', ['system:masters']);
    const { socket, status } = await connect(`edge2:${port}`, { pair: admin });
    expect(status).toBe(200);
    expect(await roundTrip(socket, 'ping')).toBe('ping');
    const foreign = test_.authority.client('admin', ['system:masters']);
    expect((await connect(`edge2:${port}`, { pair: foreign })).status).toBe(407);
  });

  test('nothing, or nothing that is valid, is 407 with the ways to authenticate', async () => {
    for (const shown of [{}, { token: 'abc.def.ghi' }, { header: 'Digest abc' }]) {
      const { status, head } = await connect(`edge1:${port}`, shown);
      expect([status, head]).toEqual([
        407,
        expect.stringMatching(/Proxy-Authenticate: Bearer\r\nProxy-Authenticate: Basic/),
      ]);
    }
  });

  test('it leads to nodes only, also for an administrator', async () => {
    const pair = plane.clientCertificate('admin', ['system:masters']);
    for (const authority of [`127.0.0.1:${plane.port}`, `127.0.0.1:${port}`, 'example.com:443'])
      expect((await connect(authority, { pair })).head).toContain('this proxy leads nowhere else');
  });

  test('a client has a limit of its own, which is free again when connections end', async () => {
    const pair = plane.clientCertificate('admin', ['system:masters']);
    const open = [];
    for (let i = 0; i < 3; i += 1) open.push(await connect(`edge1:${port}`, { pair }));
    expect((await connect(`edge1:${port}`, { pair })).status).toBe(503);
    expect((await connect(`edge1:${port}`, { token: await plane.token('default', 'scraper') })).status).toBe(200);
    open[0]?.socket.destroy();
    await eventually('room', async () => (await connect(`edge1:${port}`, { pair })).status === 200);
  });

  test('the agent of a node that is deleted is dropped, and turned away as long as the cluster has no such node', async () => {
    const held = await test_.connect(server.socket, `edge1:${port}`);
    expect(held.status).toBe(200);
    const ended = once(held.socket.resume(), 'end');
    await plane.request('DELETE', '/api/v1/nodes/edge1');
    await ended;
    await eventually('edge1 is gone', async () => (await server.nodes()).every(({ node }) => node !== 'edge1'));
    const text = 'holdfast_tunnel_server_rejected_agents_total{reason="unknown-node"} ';
    await eventually('it tried again', async () => !(await server.metrics.text()).includes(`${text}0`));
    await addNode('edge1');
    await eventually('it is back', async () => (await server.nodes()).some(({ node }) => node === 'edge1'));
  });

  test('while the API server is away nothing is allowed that was not allowed a moment ago', async () => {
    const token = await plane.token('default', 'scraper');
    expect((await connect(`edge1:${port}`, { token })).status).toBe(200);
    await plane.stopApiserver();
    try {
      expect((await connect(`edge1:${port}`, { token })).status).toBe(200);
      expect((await connect(`edge1:${port}`, { token: `${token}x` })).status).toBe(503);
    } finally {
      await plane.startApiserver();
    }
  });

  test('a request for http:// is handed on whole, without what was meant for the proxy', async () => {
    const seen: string[] = [];
    const web = await test_.target((socket) => {
      socket.once('data', (chunk: Buffer) => {
        seen.push(chunk.toString('latin1'));
        socket.end('HTTP/1.1 200 OK\r\nX-Mine: yes\r\nContent-Length: 5\r\n\r\nhello');
      });
    });
    const pem = test_.writePair('web.pem', plane.nodeCertificate('edge1'));
    test_.agent('edge1', [server.addresses.agents.port], {
      certificateFile: pem,
      keyFile: pem,
      kubeletAddress: `127.0.0.1:${web}`,
    });
    await eventually('the newer agent of edge1 is connected', async () => (await server.nodes())[0]?.connections === 2);
    const ask = async (target: string, token: string): Promise<string> => {
      const socket = tls.connect({
        host: '127.0.0.1',
        port: server.addresses.proxy!.port,
        ca: test_.authority.pair.certificate,
      });
      const headers = `Host: x\r\nProxy-Authorization: Bearer ${token}\r\nAuthorization: Bearer kept\r\nX-Hop: 1\r\n`;
      socket.write(`GET ${target} HTTP/1.1\r\n${headers}Connection: close, x-hop\r\n\r\n`);
      return (await readAll(socket)).toString('latin1');
    };
    const token = await plane.token('default', 'scraper');
    const reply = await ask(`http://edge1:${web}/metrics?a=b`, token);
    expect(reply).toMatch(/^HTTP\/1\.1 200 OK\r\nx-mine: yes\r\n/i);
    expect(reply.endsWith('\r\n\r\nhello')).toBe(true);
    expect(seen[0]).toMatch(new RegExp(`^GET /metrics\\?a=b HTTP/1.1\r\n`));
    expect(seen[0]).toContain(`host: edge1:${web}`);
    expect(seen[0]).toContain('authorization: Bearer kept');
    expect(seen[0]).not.toMatch(/proxy-authorization|x-hop/i);
    expect(await ask(`http://edge2:${web}/`, token)).toMatch(/^HTTP\/1\.1 403 .*may not get nodes\/proxy of edge2/);
    expect(await ask(`http://127.0.0.1:${web}/`, token)).toMatch(/^HTTP\/1\.1 403 /);
    expect(await ask(`https://edge1:${web}/`, token)).toMatch(/^HTTP\/1\.1 405 /);
    expect(await ask(`http://edge1:${web}/`, 'none')).toMatch(/^HTTP\/1\.1 407 /);
  });

  test('what is no CONNECT, and what is no TLS, is told so', async () => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: server.addresses.proxy!.port,
      ca: test_.authority.pair.certificate,
    });
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    expect((await readAll(socket)).toString()).toMatch(/^HTTP\/1\.1 405 /);
    const plain = net.connect(server.addresses.proxy!.port, '127.0.0.1');
    plain.on('error', () => undefined);
    plain.write('CONNECT edge1:1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise<void>((resolve) => void plain.once('close', () => resolve()));
  });
});
