// Service accounts on the node, through the hub in front of a real API server: what they are served online, what without the
// cloud, and what nobody gets. The rights of the node are those of config/rbac/node.yaml.
import { generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { nodeRules } from '../cluster/node-rules.ts';
import { HubUnderTest, until as untilWithin } from './hub-under-test.ts';
import type { LocalClient, LocalWatch } from './local-client.ts';

interface Named {
  readonly metadata: { readonly name: string };
}
interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: readonly Named[];
}

const services = '/api/v1/services';
const slices = '/apis/discovery.k8s.io/v1/endpointslices';
const rbac = '/apis/rbac.authorization.k8s.io/v1';

// Waits are for events of the API server on a machine that may have much else to do.
const until = (holds: () => boolean | Promise<boolean>, what: string): Promise<void> =>
  untilWithin(holds, what, 30_000);

describeWithApiserver('service accounts', () => {
  let plane: ControlPlane;
  let relay: TcpRelay;
  let hub: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyNodeRules();
    await create('/api/v1/namespaces', { metadata: { name: 'shop' } });
    for (const account of ['kube-proxy', 'coredns']) await bind(account, 'system:node-proxier');
    await create('/api/v1/namespaces/shop/services', {
      metadata: { name: 'till' },
      spec: { ports: [{ port: 80 }], selector: { app: 'till' } },
    });
    await create('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices', slice('till-1'));
  });
  afterAll(async () => {
    await plane?.stop();
  });

  beforeEach(async () => {
    relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
    await relay.listen();
    await startHub();
  });
  afterEach(async () => {
    await hub.remove();
    await relay.close();
  });

  async function startHub(settings: Record<string, unknown> = {}): Promise<void> {
    const { certificate: cert, key } = plane.nodeCertificate('edge1');
    const apiServer = `https://127.0.0.1:${relay.port}`;
    hub = await HubUnderTest.start({ apiServer, ca: plane.ca, node: { cert, key }, settings });
    await untilCloud(true);
  }

  async function untilCloud(reachable: boolean): Promise<void> {
    await until(() => hub.hub.status().cloud.reachable === reachable, `cloud reachable: ${reachable}`);
  }

  async function cut(): Promise<void> {
    await relay.cut('refuse');
    await untilCloud(false);
  }

  /** The node without its cloud, and the hub started anew: nothing is left but what is on disk. */
  async function cutAndRestart(): Promise<void> {
    await cut();
    await hub.stop();
    await hub.start();
    await untilCloud(false);
  }

  const create = (collection: string, object: object): Promise<unknown> => plane.request('POST', collection, object);

  async function applyNodeRules(): Promise<void> {
    for (const { path: collection, body } of nodeRules()) {
      const { status } = await plane.api.rawRequest('POST', collection, body);
      // What no test has taken away is still there.
      expect([201, 409]).toContain(status);
    }
  }

  /** As kubeadm binds kube-proxy. */
  async function bind(account: string, clusterRole: string, namespace = 'kube-system'): Promise<string> {
    await plane.token(namespace, account);
    const name = `${account}-${Math.random().toString(36).slice(2)}`;
    await create(`${rbac}/clusterrolebindings`, {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: clusterRole },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace }],
    });
    return `${rbac}/clusterrolebindings/${name}`;
  }

  const slice = (name: string): object => ({
    metadata: { name, labels: { 'kubernetes.io/service-name': 'till' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.1.1.1'] }],
    ports: [],
  });

  async function as(account: string, spec = {}, namespace = 'kube-system'): Promise<LocalClient> {
    return hub.withToken(await plane.token(namespace, account, spec));
  }

  const statusOf = async (client: LocalClient, target: string): Promise<number> =>
    (await client.request('GET', target)).status;

  const names = (list: List): string[] => list.items.map(({ metadata }) => metadata.name);

  /** Upstream watches of a resource, counted by the API server. */
  async function watchesAtServer(resource: string): Promise<number> {
    const { body } = await plane.rawRequest('GET', '/metrics');
    const lines = body.toString().split('\n');
    return lines
      .filter((line) => line.startsWith('apiserver_longrunning_requests{') && line.includes(`resource="${resource}"`))
      .reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0);
  }

  /** Decoded, to be forged. */
  function claimsOf(token: string): Record<string, unknown> {
    return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>;
  }

  function signedBy(key: Parameters<typeof sign>[2], token: string, changes: Record<string, unknown> = {}): string {
    const claims = Buffer.from(JSON.stringify({ ...claimsOf(token), ...changes })).toString('base64url');
    const signed = `${token.split('.')[0]}.${claims}`;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  const clusterKey = (): string => readFileSync(plane.serviceAccountKeyFile, 'utf8');

  test('kube-proxy lists and watches through the hub, also after a restart without the cloud, and sees what it missed', async () => {
    const token = await plane.token('kube-system', 'kube-proxy');
    let client = hub.withToken(token);
    for (const collection of [services, slices]) {
      const list = await client.get<List>(`${collection}?resourceVersion=0`);
      await client.watch(`${collection}?watch=true&resourceVersion=${list.metadata.resourceVersion}`);
    }
    await until(() => hub.hub.status().watchers === 2, 'both are watched');
    await cutAndRestart();
    client = hub.withToken(token);
    expect(names(await client.get<List>(`${services}?resourceVersion=0`))).toContain('till');
    const list = await client.get<List>(slices);
    expect(names(list)).toEqual(['till-1']);
    const watch = await client.watch(
      `${slices}?watch=true&allowWatchBookmarks=true&resourceVersion=${list.metadata.resourceVersion}`,
    );
    await create('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices', slice('till-2'));
    await relay.heal();
    await watch.until((event) => event.type === 'ADDED' && event.object.metadata.name === 'till-2');
    await plane.request('DELETE', '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/till-2');
    await watch.until((event) => event.type === 'DELETED');
  });

  test('without the cloud a token that the API server would not take is refused, and so is whoever was never allowed', async () => {
    const token = await plane.token('kube-system', 'kube-proxy');
    await hub.withToken(token).get(`${services}?resourceVersion=0`);
    const foreign = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey;
    const agoSeconds = Date.now() / 1_000 - 700_000;
    const tokens: [string, string, number][] = [
      ['forged', signedBy(foreign, token), 401],
      ['of another audience', await plane.token('kube-system', 'kube-proxy', { audiences: ['vault'] }), 401],
      ['expired within the grace', signedBy(clusterKey(), token, { exp: Date.now() / 1_000 - 3_600 }), 200],
      ['expired beyond the grace', signedBy(clusterKey(), token, { exp: agoSeconds, nbf: agoSeconds - 60 }), 401],
      ['of a kept account that never asked', await plane.token('kube-system', 'coredns'), 503],
      ['of an account that nothing is kept for', await plane.token('shop', 'default'), 503],
      ['of an account made anew', signedBy(clusterKey(), token, remade(token)), 503],
      ['opaque', 'opaque', 503],
    ];
    await cutAndRestart();
    for (const [what, given, status] of tokens) {
      const answer = await hub.withToken(given).request('GET', `${services}?resourceVersion=0`);
      const { kind } = JSON.parse(answer.body.toString()) as { kind: string };
      expect([what, answer.status, kind]).toEqual([what, status, status === 200 ? 'ServiceList' : 'Status']);
    }
    expect((await hub.connect(undefined).request('GET', services)).status).toBe(401);
    // Who may list may have one of them; who may not has none, although it is there.
    const till = '/api/v1/namespaces/shop/services/till';
    expect(await statusOf(hub.withToken(token), till)).toBe(200);
    expect(await statusOf(hub.withToken(await plane.token('kube-system', 'coredns')), till)).toBe(503);
  });

  function remade(token: string): Record<string, unknown> {
    const kubernetes = claimsOf(token)['kubernetes.io'] as Record<string, unknown>;
    return { 'kubernetes.io': { ...kubernetes, serviceaccount: { name: 'kube-proxy', uid: 'another' } } };
  }

  test('of what it was allowed an account may ask for a part that it never asked for; nobody else may', async () => {
    const proxy = await plane.token('kube-system', 'kube-proxy');
    const dns = await plane.token('kube-system', 'coredns');
    await hub.withToken(proxy).get(`${services}?resourceVersion=0`);
    await hub.withToken(dns).get('/api/v1/namespaces/default/services?resourceVersion=0');
    await cutAndRestart();
    const parts = ['/api/v1/namespaces/shop/services', `${services}?fieldSelector=metadata.name%3Dtill`];
    for (const part of parts) {
      expect(names(await hub.withToken(proxy).get<List>(part))).toEqual(['till']);
      expect(await statusOf(hub.withToken(dns), part)).toBe(503);
    }
    expect(await statusOf(hub.withToken(dns), services)).toBe(503);
  });

  test('what is read by name, and discovery, are for whoever read them', async () => {
    const target = '/api/v1/namespaces/shop/services/till';
    const proxy = await plane.token('kube-system', 'kube-proxy');
    const dns = await plane.token('kube-system', 'coredns');
    const role = { metadata: { name: 'one' }, rules: [{ apiGroups: [''], resources: ['services'], verbs: ['get'] }] };
    await create(`${rbac}/clusterroles`, role);
    const binding = await bind('kube-proxy', 'one');
    const client = hub.withToken(proxy);
    await client.get<Named>(target);
    await client.get('/api/v1');
    // An old form of a watch, with objects in it: no discovery, although its path begins like one.
    const oldWatch = '/api/v1/watch/namespaces/shop/services?timeoutSeconds=1';
    expect(await statusOf(client, oldWatch)).toBe(200);
    await cutAndRestart();
    expect((await hub.withToken(proxy).get<Named>(target)).metadata.name).toBe('till');
    expect(await statusOf(hub.withToken(proxy), '/api/v1')).toBe(200);
    expect(await statusOf(hub.withToken(dns), target)).toBe(503);
    expect(await statusOf(hub.withToken(dns), '/api/v1')).toBe(503);
    expect(await statusOf(hub.withToken(proxy), oldWatch)).toBe(503);
    await plane.request('DELETE', binding);
  });

  test('a right that is taken away online is gone without the cloud, for that account alone', async () => {
    await bind('weave-net', 'system:node-proxier');
    const binding = (await plane.request<{ items: Named[] }>('GET', `${rbac}/clusterrolebindings`)).items
      .map(({ metadata }) => metadata.name)
      .find((name) => name.startsWith('weave-net-'));
    const weave = await plane.token('kube-system', 'weave-net');
    const proxy = await plane.token('kube-system', 'kube-proxy');
    for (const token of [weave, proxy]) await hub.withToken(token).get(`${services}?resourceVersion=0`);
    await plane.request('DELETE', `${rbac}/clusterrolebindings/${binding}`);
    // A list that has to be fresh is the API server's to answer, and shows the hub that the right is gone.
    await until(async () => (await statusOf(hub.withToken(weave), services)) === 403, 'the API server says 403');
    expect(await statusOf(hub.withToken(weave), `${services}?resourceVersion=0`)).toBe(403);
    await cutAndRestart();
    const refusal = await hub.withToken(weave).request('GET', `${services}?resourceVersion=0`);
    expect(JSON.parse(refusal.body.toString())).toMatchObject({ kind: 'Status', reason: 'Forbidden', code: 403 });
    expect(await statusOf(hub.withToken(proxy), `${services}?resourceVersion=0`)).toBe(200);
  });

  test('a right that is taken away ends the watch, although its account does not ask', async () => {
    await hub.remove();
    await startHub({ accessRecheckSeconds: 5 });
    const binding = await bind('kindnet', 'system:node-proxier');
    const token = await plane.token('kube-system', 'kindnet');
    const client = hub.withToken(token);
    const watch = await watchSlices(client);
    const other = await watchSlices(await as('kube-proxy'));
    await plane.request('DELETE', binding);
    await until(() => watch.ended, 'the watch has ended');
    expect(other.ended).toBe(false);
    await cut();
    expect(await statusOf(client, `${slices}?resourceVersion=0`)).toBe(403);
  });

  test('when the token that fills a view is rejected, another account fills it; when none is left, its watches end', async () => {
    const pods = '/api/v1/namespaces/kube-system/pods';
    const containers = [{ name: 'dns', image: 'dns' }];
    await create(pods, {
      metadata: { name: 'dns' },
      spec: { nodeName: 'edge1', serviceAccountName: 'coredns', containers },
    });
    const { metadata } = await plane.request<{ metadata: { uid: string } }>('GET', `${pods}/dns`);
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'dns', uid: metadata.uid };
    const binding = await bind('kube-router', 'system:node-proxier');
    const router = await plane.token('kube-system', 'kube-router');
    // Issued to the second; the newest one fills the view.
    const issuedMs = Number(claimsOf(router)['iat']) * 1_000;
    await until(() => Date.now() >= issuedMs + 1_000, 'the next second');
    const dns = await plane.token('kube-system', 'coredns', { boundObjectRef });
    const ofDns = await watchSlices(hub.withToken(dns));
    const ofRouter = await watchSlices(hub.withToken(router));

    await plane.request('DELETE', `${pods}/dns?gracePeriodSeconds=0`);
    await until(async () => !(await isAccepted(dns)), 'the token ended with its pod');
    await reconnect();
    await until(() => ofDns.ended, 'the watch of the rejected token has ended');
    await create('/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices', slice('till-3'));
    await ofRouter.until((event) => event.type === 'ADDED' && event.object.metadata.name === 'till-3');
    await plane.request('DELETE', '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/till-3');
    await ofRouter.until((event) => event.type === 'DELETED');

    await plane.request('DELETE', binding);
    await until(async () => (await accessOf(router)) === 403, 'the right is gone');
    await reconnect();
    await until(() => ofRouter.ended, 'nobody may fill the view');
    expect(await statusOf(hub.withToken(router), `${slices}?resourceVersion=0`)).toBe(403);
  });

  async function watchSlices(client: LocalClient): Promise<LocalWatch> {
    const list = await client.get<List>(`${slices}?resourceVersion=0`);
    return await client.watch(`${slices}?watch=true&resourceVersion=${list.metadata.resourceVersion}`);
  }

  /** Upstream watches break and are opened anew. */
  async function reconnect(): Promise<void> {
    await cut();
    await relay.heal();
    await untilCloud(true);
  }

  /** What the API server answers, asked past the hub. */
  async function accessOf(token: string): Promise<number> {
    const direct = http2.connect(plane.url, { ca: plane.ca });
    const request = direct.request({ ':path': slices, authorization: `Bearer ${token}` });
    const [headers] = (await once(request, 'response')) as [http2.IncomingHttpHeaders];
    direct.destroy();
    return Number(headers[':status']);
  }

  async function isAccepted(token: string): Promise<boolean> {
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    const { status } = await plane.request<{ status: { authenticated?: boolean } }>(
      'POST',
      '/apis/authentication.k8s.io/v1/tokenreviews',
      review,
    );
    return status.authenticated === true;
  }

  test('two accounts share one upstream watch, and a claim to be somebody else changes nothing', async () => {
    const before = await watchesAtServer('endpointslices');
    const clients = [await as('kube-proxy'), await as('coredns')];
    for (const client of clients) await watchSlices(client);
    await until(() => hub.hub.status().watchers === 2, 'both watch');
    await until(async () => (await watchesAtServer('endpointslices')) > before, 'the API server has a watch');
    expect((await watchesAtServer('endpointslices')) - before).toBe(1);

    const stranger = await as('default', {}, 'shop');
    const headers = { 'user-agent': 'kubelet/v1.34.4', 'x-remote-user': 'system:node:edge1' };
    expect((await stranger.request('GET', `${slices}?resourceVersion=0`, { headers })).status).toBe(403);
    await cut();
    expect((await stranger.request('GET', `${slices}?resourceVersion=0`, { headers })).status).toBe(503);
  });

  test("the node's Secrets are not for accounts, and what accounts have read is not for the node", async () => {
    const secrets = '/api/v1/namespaces/shop/secrets';
    await create(secrets, { metadata: { name: 'key' }, stringData: { pin: '1234' } });
    await create('/api/v1/namespaces/shop/pods', {
      metadata: { name: 'till' },
      spec: {
        nodeName: 'edge1',
        containers: [{ name: 'till', image: 'till' }],
        volumes: [{ name: 'key', secret: { secretName: 'key' } }],
      },
    });
    const one = `${secrets}?fieldSelector=metadata.name%3Dkey&resourceVersion=0`;
    await until(async () => (await statusOf(hub.client, one)) === 200, 'the node may read the Secret');
    await hub.client.get(`${secrets}/key`);
    const proxy = await plane.token('kube-system', 'kube-proxy');
    const paths = [one, `${secrets}/key`, `${secrets}?resourceVersion=0`];
    for (const target of paths) expect(await statusOf(hub.withToken(proxy), target)).toBe(403);
    await hub.withToken(proxy).get(`${slices}?resourceVersion=0`);
    await cutAndRestart();
    expect(await statusOf(hub.client, one)).toBe(200);
    for (const target of paths) expect(await statusOf(hub.withToken(proxy), target)).toBe(403);
    // The Node authorizer lets no node read them, and so does the hub.
    expect(await statusOf(hub.client, `${slices}?resourceVersion=0`)).toBe(503);
    expect(await statusOf(hub.client, '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices/till-1')).toBe(503);
    await plane.request('DELETE', '/api/v1/namespaces/shop/pods/till?gracePeriodSeconds=0');
    await plane.request('DELETE', `${secrets}/key`);
  });

  test('an account shares the view of the node that it may read', async () => {
    const target = '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&resourceVersion=0';
    await hub.client.get(target);
    const before = hub.hub.status().views;
    await (await as('kube-proxy')).get(target);
    expect(hub.hub.status().views).toBe(before);
  });

  test('a ConfigMap names further accounts while the hub runs; a wrong one changes nothing and is reported', async () => {
    const configMaps = '/api/v1/namespaces/kube-system/configmaps';
    await bind('agent', 'system:node-proxier', 'shop');
    const token = await plane.token('shop', 'agent');
    await hub.withToken(token).get(`${services}?resourceVersion=0`);
    expect(hub.hub.status().views).toBe(0);
    await create(configMaps, { metadata: { name: 'holdfast-node' }, data: { serviceAccounts: 'shop:agent' } });
    await until(async () => (await reads('applied')) === 1, 'the ConfigMap is read');
    await hub.withToken(token).get(`${services}?resourceVersion=0`);
    expect(hub.hub.status().views).toBe(1);

    await plane.request('PATCH', `${configMaps}/holdfast-node`, { data: { serviceAccount: 'shop:other' } });
    await until(async () => (await reads('invalid')) === 1, 'the wrong ConfigMap is read');
    expect(hub.said.find((line) => line.includes('did you mean serviceAccounts?'))).toContain(
      'serviceAccount: is not known',
    );
    await cutAndRestart();
    expect(await statusOf(hub.withToken(token), `${services}?resourceVersion=0`)).toBe(200);
    await relay.heal();
    await untilCloud(true);
    await plane.request('DELETE', `${configMaps}/holdfast-node`);
    await until(async () => (await reads('absent')) === 1, 'the default is back');
    await cut();
    expect(await statusOf(hub.withToken(token), `${services}?resourceVersion=0`)).toBe(503);
  });

  const reads = (outcome: string): Promise<number> =>
    hub.metric(`holdfast_yurthub_caching_settings_reads_total{outcome="${outcome}"}`);

  test('beyond the bounds views are dropped, least recently used first, and requests pass through', async () => {
    const configMaps = '/api/v1/namespaces/kube-system/configmaps';
    await create(configMaps, { metadata: { name: 'holdfast-node' }, data: { maxViews: '2' } });
    await until(async () => (await reads('applied')) === 1, 'the ConfigMap is read');
    const client = await as('kube-proxy');
    const watched = await client.get<List>(`${services}?resourceVersion=0`);
    await client.watch(`${services}?watch=true&resourceVersion=${watched.metadata.resourceVersion}`);
    await until(() => hub.hub.status().watchers === 1, 'it watches');
    await client.get(`${slices}?resourceVersion=0`);
    const cidrs = '/apis/networking.k8s.io/v1/servicecidrs';
    expect(await statusOf(client, `${cidrs}?resourceVersion=0`)).toBe(200);
    expect(hub.hub.status().views).toBe(2);
    expect(await hub.metric('holdfast_yurthub_views_dropped_total{reason="bounds"}')).toBe(1);
    expect(await statusOf(client, `${slices}?resourceVersion=0`)).toBe(200);
    await cutAndRestart();
    const again = await as('kube-proxy');
    for (const kept of [services, cidrs]) expect(await statusOf(again, `${kept}?resourceVersion=0`)).toBe(200);
    // What cannot be had now drives out nothing that is kept.
    expect(await statusOf(again, `${slices}?resourceVersion=0`)).toBe(503);
    for (const kept of [services, cidrs]) expect(await statusOf(again, `${kept}?resourceVersion=0`)).toBe(200);
    await plane.request('DELETE', `${configMaps}/holdfast-node`);
  });

  test('a collection beyond the bounds is not kept, and whoever asks for it gets all of it', async () => {
    const configMaps = '/api/v1/namespaces/kube-system/configmaps';
    await create(configMaps, { metadata: { name: 'holdfast-node' }, data: { maxBytes: '1Ki' } });
    await until(async () => (await reads('applied')) === 1, 'the ConfigMap is read');
    const client = await as('kube-proxy');
    expect(names(await client.get<List>(`${services}?resourceVersion=0`))).toContain('till');
    await until(
      async () => (await hub.metric('holdfast_yurthub_views_dropped_total{reason="bounds"}')) === 1,
      'dropped',
    );
    expect(names(await client.get<List>(`${services}?resourceVersion=0`))).toContain('till');
    expect(hub.hub.status().views).toBe(0);
    const watch = await client.watch(`${services}?watch=true&resourceVersion=0`);
    await watch.until((event) => event.object.metadata.name === 'till');
    watch.stop();
    await cut();
    expect(await statusOf(client, `${services}?resourceVersion=0`)).toBe(503);
    await plane.request('DELETE', `${configMaps}/holdfast-node`);
  });

  test("reviews by a token are the API server's to answer", async () => {
    const target = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const review = JSON.stringify({
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes: { verb: 'list', resource: 'services' } },
    });
    const client = await as('kube-proxy');
    const send = (): Promise<{ status: number; body: Buffer }> =>
      client.request('POST', target, { body: review, headers: { 'content-type': 'application/json' } });
    expect(JSON.parse((await send()).body.toString())).toMatchObject({ status: { allowed: true } });
    await cut();
    expect((await send()).status).toBe(503);
  });

  test('without config/rbac/node.yaml it is said what does not work, and accounts that use the hub are served all the same', async () => {
    await hub.remove();
    for (const kind of ['clusterroles', 'clusterrolebindings'])
      await plane.request('DELETE', `${rbac}/${kind}/holdfast:node`);
    for (const kind of ['roles', 'rolebindings'])
      await plane.request('DELETE', `${rbac}/namespaces/kube-system/${kind}/holdfast:node`);
    await startHub();
    const token = await plane.token('kube-system', 'kube-proxy');
    const forbidden = (name: string): Promise<number> =>
      hub.metric(`holdfast_yurthub_${name}_total{outcome="forbidden"}`);
    await until(async () => (await forbidden('token_key_reads')) > 0, 'the key set is forbidden');
    await until(async () => (await forbidden('caching_settings_reads')) > 0, 'the ConfigMap is forbidden');
    expect(hub.said.filter((line) => line.includes('apply config/rbac/node.yaml'))).toHaveLength(2);
    await hub.withToken(token).get(`${services}?resourceVersion=0`);
    await until(async () => {
      await hub.withToken(await plane.token('kube-system', 'kube-proxy')).get(`${services}?resourceVersion=0`);
      return (await hub.metric('holdfast_yurthub_token_keys')) > 0;
    }, 'the keys are read with a token');
    await cutAndRestart();
    expect(await statusOf(hub.withToken(token), `${services}?resourceVersion=0`)).toBe(200);
    await applyNodeRules();
  });
});
