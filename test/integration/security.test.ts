// What a pod on the node gets through the hub that it would not get from the API server: nothing, however it asks. Each request goes to
// the real API server and to the hub in the same bytes, with the cloud in reach and without. Tokens and their accounts are tried
// in service-accounts.test.ts, request splitting in smuggling.test.ts, the files on disk in at-rest.test.ts.
import { once } from 'node:events';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { create } from '../cluster/manifest.ts';
import { nodeRules } from '../cluster/node-rules.ts';
import { HubUnderTest, until } from './hub-under-test.ts';

const secretWord = 'correct-horse-battery';
const encodedWord = Buffer.from(secretWord).toString('base64').slice(0, 24);
const inDefault = (resource: string): string => `/api/v1/namespaces/default/${resource}`;
const secret = inDefault('secrets/password');
const rbac = '/apis/rbac.authorization.k8s.io/v1';

/** Ways to ask for the Secret that some reader of paths, on some day, has taken for something else. */
const tricks = [
  secret,
  `${secret}/`,
  `${secret}?resourceVersion=0`,
  `${secret}?watch=true`,
  `${inDefault('secrets')}?resourceVersion=0&fieldSelector=metadata.name%3Dpassword`,
  `${inDefault('secrets')}?watch=true&resourceVersion=0&fieldSelector=metadata.name%3Dpassword&timeoutSeconds=1`,
  `${inDefault('secrets')}?fieldSelector=metadata.name%3Dpassword&fieldSelector=metadata.name%3Dpassword&resourceVersion=0`,
  '/api/v1/namespaces/default%2Fsecrets/password',
  '/api/v1/namespaces/default/secrets%2fpassword',
  '/api/v1/namespaces/default%252fsecrets/password',
  '/api/v1/namespaces/other/../default/secrets/password',
  '/api/v1/namespaces/default/pods/../secrets/password',
  '/api/v1/namespaces/default/pods/web/%2e%2e/%2E%2E/secrets/password',
  '/api/v1/namespaces/default/./secrets/password',
  '/api/v1//namespaces/default/secrets/password',
  '//api/v1/namespaces/default/secrets/password',
  '/api/v1/namespaces//default/secrets/password',
  '/api/v1/namespaces/default/secrets//password',
  `${secret}%00`,
  `${secret}%00.txt`,
  `${secret}%0d%0aX-Remote-User:%20admin`,
  `${secret}%20`,
  `${secret}%3fwatch=true`,
  `${inDefault('configmaps/settings')}%3f/../../secrets/password`,
  `${secret}%23`,
  `${secret};version=1`,
  '/API/v1/namespaces/default/secrets/password',
  '/api/V1/namespaces/default/secrets/password',
  '/api/v1/Namespaces/default/secrets/password',
  '/api/v1/namespaces/Default/secrets/password',
  '/api/v1/namespaces/default/Secrets/password',
  '/api/v1/namespaces/default/SECRETS/password',
  '/api/v1/namespaces/default/secrets/Password',
  '/api/v1/namespaces/default/secret%73/passwor%64',
  '/api/v1/n%61mespaces/default/secrets/password',
  '/%61pi/v1/namespaces/default/secrets/password',
  '/api/v1/namespaces/default\\secrets\\password',
  '/apis/core/v1/namespaces/default/secrets/password',
  '/apis//v1/namespaces/default/secrets/password',
  '/api/v1/watch/namespaces/default/secrets/password?timeoutSeconds=1',
  '/api/v1/proxy/namespaces/default/secrets/password',
  '/api/v1/nodes/edge1/proxy/../../../namespaces/default/secrets/password',
  `${inDefault('pods/web/proxy')}/../../../secrets/password`,
  `/api/v1/namespaces/default/secrets/${'a/../'.repeat(30)}password`,
];

/** Claims of being somebody else. */
const claims = [
  'User-Agent: kubelet/v1.34.4 (linux/amd64) kubernetes/0000000',
  'User-Agent: holdfast-yurthub/test',
  'X-Remote-User: system:node:edge1\r\nX-Remote-Group: system:nodes',
  'X-Remote-User: admin\r\nX-Remote-Group: system:masters',
  'x-remote-user: admin\r\nX-REMOTE-GROUP: system:masters\r\nX-Remote-Extra-Scopes: all',
  'Impersonate-User: system:node:edge1\r\nImpersonate-Group: system:nodes',
  'impersonate-user: admin\r\nImpersonate-Group: system:masters',
  'Connection: close, impersonate-user, x-remote-user\r\nImpersonate-User: admin',
  'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Client-Cert: Subject="CN=system:node:edge1"\r\nX-Real-IP: 127.0.0.1',
  'Forwarded: for=127.0.0.1;by=127.0.0.1\r\nVia: 1.1 hub',
  'X-SSL-Client-Verify: SUCCESS\r\nX-SSL-Client-S-DN: CN=system:node:edge1,O=system:nodes',
  'X-HTTP-Method-Override: GET\r\nX-Original-URL: /api/v1/namespaces/default/secrets/password',
  'X-Rewrite-URL: /api/v1/namespaces/default/secrets/password',
  'Cookie: user=admin',
];

interface Answer {
  readonly status: number;
  readonly text: string;
}

describeWithApiserver('a pod that wants more than it may', () => {
  let plane: ControlPlane;
  let relay: TcpRelay;
  let hub: HubUnderTest;
  let token: string;
  let kept: string;
  let nodeCertificate: { cert: string; key: string };

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await create(plane.api, nodeRules());
    const make = (collection: string, kind: string, object: object): Promise<unknown> =>
      plane.request('POST', collection, { apiVersion: 'v1', kind, ...object });
    await make('/api/v1/nodes', 'Node', { metadata: { name: 'edge1' } });
    await make(inDefault('secrets'), 'Secret', { metadata: { name: 'password' }, stringData: { word: secretWord } });
    await make(inDefault('configmaps'), 'ConfigMap', { metadata: { name: 'settings' }, data: { colour: 'green' } });
    await make(inDefault('pods'), 'Pod', {
      metadata: { name: 'web' },
      spec: {
        nodeName: 'edge1',
        containers: [{ name: 'main', image: 'example.com/web:1' }],
        volumes: [
          { name: 'password', secret: { secretName: 'password' } },
          { name: 'settings', configMap: { name: 'settings' } },
        ],
      },
    });
    // Of two accounts the hub keeps views for one, which may read Services; neither may read Secrets.
    token = await plane.token('default', 'app');
    kept = await plane.token('kube-system', 'kube-proxy');
    const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:node-proxier' };
    const subjects = [{ kind: 'ServiceAccount', namespace: 'kube-system', name: 'kube-proxy' }];
    await plane.request('POST', `${rbac}/clusterrolebindings`, { metadata: { name: 'proxier' }, roleRef, subjects });

    relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
    await relay.listen();
    const { certificate: cert, key } = plane.nodeCertificate('edge1');
    nodeCertificate = { cert, key };
    hub = await HubUnderTest.start({
      apiServer: `https://127.0.0.1:${relay.port}`,
      ca: plane.ca,
      node: nodeCertificate,
    });
    await until(() => hub.hub.status().cloud.reachable, 'the cloud is there');
    // The node has read the Secret in every way there is, and each of them is kept.
    for (const target of tricks.slice(0, 5))
      for (const accept of ['application/json', 'application/vnd.kubernetes.protobuf,application/json'])
        if (!target.includes('watch=')) await hub.client.request('GET', target, { headers: { accept } });
    for (const bearer of [token, kept]) {
      const services = await viaHub('/api/v1/services?resourceVersion=0', `Authorization: Bearer ${bearer}`);
      expect(services.status).toBe(bearer === kept ? 200 : 403);
    }
  });
  afterAll(async () => {
    await hub?.remove();
    await relay?.close();
    await plane?.stop();
  });

  async function ask(port: number, ca: string, target: string, headers: string, certificate = {}): Promise<Answer> {
    const socket = tls.connect({ port, host: '127.0.0.1', ca, ALPNProtocols: ['http/1.1'], ...certificate });
    socket.on('error', () => undefined);
    let text = '';
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    const connection = /^connection:/im.test(headers) ? '' : '\r\nConnection: close';
    socket.write(
      `GET ${target} HTTP/1.1\r\nHost: kubernetes\r\nAccept: application/json\r\n${headers}${connection}\r\n\r\n`,
      'latin1',
    );
    await once(socket, 'close');
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0), text };
  }

  const viaHub = (target: string, headers: string, certificate = {}): Promise<Answer> =>
    ask(hub.port, hub.hub.caPem, target, headers, certificate);
  const direct = (target: string, headers: string, certificate = {}): Promise<Answer> =>
    ask(plane.port, plane.ca, target, headers, certificate);

  function expectNoSecret({ text }: Answer): void {
    expect(text).not.toContain(secretWord);
    expect(text).not.toContain(encodedWord);
  }

  describe.each(['in reach', 'out of reach'])('with the cloud %s', (state) => {
    beforeAll(async () => {
      if (state === 'in reach') return;
      await relay.cut('refuse');
      await until(() => !hub.hub.status().cloud.reachable, 'the cloud is lost');
    });
    afterAll(async () => {
      await relay.heal();
      await until(() => hub.hub.status().cloud.reachable, 'the cloud is back');
    });

    test('the node itself reads it, so that there is something to be had', async () => {
      const { status, text } = await viaHub(secret, 'X: y', nodeCertificate);
      expect(status).toBe(200);
      expect(text).toContain(encodedWord);
    });

    test.each(tricks)("the node's Secret by the path %s", async (target) => {
      for (const bearer of [token, kept]) {
        const answer = await viaHub(target, `Authorization: Bearer ${bearer}`);
        expectNoSecret(answer);
        const without = [400, 401, 403, 404, 503];
        const allowed =
          state === 'in reach' ? [400, (await direct(target, `Authorization: Bearer ${bearer}`)).status] : without;
        expect(allowed).toContain(answer.status);
      }
    });

    test.each(claims)('the claim %s', async (claim) => {
      for (const target of [
        secret,
        `${inDefault('secrets')}?resourceVersion=0&fieldSelector=metadata.name%3Dpassword`,
      ]) {
        for (const headers of [
          claim,
          `Authorization: Bearer ${token}\r\n${claim}`,
          `Authorization: Bearer ${kept}\r\n${claim}`,
        ]) {
          const answer = await viaHub(target, headers);
          expectNoSecret(answer);
          expect([401, 403, 503]).toContain(answer.status);
        }
      }
    });

    test('a token that Connection takes away leaves nobody, and not the node', async () => {
      const headers = `Authorization: Bearer ${kept}\r\nConnection: close, authorization`;
      expect((await viaHub('/api/v1/services?resourceVersion=0', headers)).status).toBe(401);
    });

    test('two tokens are none', async () => {
      const headers = `Authorization: Bearer ${token}\r\nAuthorization: Bearer ${kept}`;
      expect((await viaHub('/api/v1/services?resourceVersion=0', headers)).status).toBe(400);
    });

    test('a token that somebody else has signed, changed or made up', async () => {
      const [header = '', payload = '', signature = ''] = kept.split('.');
      const claimsOf = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
      const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      const foreign = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
      const unsigned = `${header}.${payload}`;
      const asNode = encode({ ...claimsOf, sub: 'system:node:edge1' });
      const asSecretReader = encode({
        ...claimsOf,
        sub: 'system:serviceaccount:kube-system:generic-garbage-collector',
      });
      const hmac = `${encode({ alg: 'HS256', typ: 'JWT' })}.${payload}`;
      const forged = [
        `${unsigned}.${sign('sha256', Buffer.from(unsigned), foreign).toString('base64url')}`,
        `${header}.${asNode}.${signature}`,
        `${header}.${asSecretReader}.${signature}`,
        `${encode({ alg: 'none' })}.${payload}.`,
        `${hmac}.${createHmac('sha256', plane.ca).update(hmac).digest('base64url')}`,
        `${unsigned}.`,
        unsigned,
        `${kept}x`,
        'x',
      ];
      for (const bearer of forged) {
        const answer = await viaHub('/api/v1/services?resourceVersion=0', `Authorization: Bearer ${bearer}`);
        // What is no token of the cluster is the API server's to refuse: without it there is no answer at all.
        expect(state === 'in reach' ? [401] : [401, 503]).toContain(answer.status);
      }
    });

    test('plain HTTP on the TLS port', async () => {
      const socket = net.connect(hub.port, '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString('latin1')));
      socket.on('error', () => undefined);
      socket.write(`GET ${secret} HTTP/1.1\r\nHost: kubernetes\r\nAuthorization: Bearer ${kept}\r\n\r\n`);
      await once(socket, 'close');
      expect(text).not.toContain('HTTP/1.1');
    });
  });

  test('who the API server takes the client for does not change by what it says of itself', async () => {
    const review = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
    const client = hub.connect(undefined);
    for (const claim of claims) {
      if (/^(?:impersonate|connection)/i.test(claim)) continue;
      const headers = Object.fromEntries(
        claim.split('\r\n').map((line) =>
          line
            .toLowerCase()
            .split(/:(.*)/s)
            .map((part) => part.trim()),
        ),
      );
      const answer = await client.request('POST', review, {
        body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' }),
        headers: { ...headers, authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      });
      expect(JSON.parse(answer.body.toString())).toMatchObject({
        status: { userInfo: { username: 'system:serviceaccount:default:app' } },
      });
    }
  });
});
