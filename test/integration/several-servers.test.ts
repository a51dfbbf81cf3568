// Two real API servers on one etcd, and the hub in front of both: one after the other dies, and the node's watches go on.
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest, until } from './hub-under-test.ts';
import type { LocalWatch } from './local-client.ts';

interface List {
  readonly metadata: { readonly resourceVersion: string };
}

const configMaps = '/api/v1/namespaces/default/configmaps';

describeWithApiserver('the hub in front of two real API servers', () => {
  let plane: ControlPlane;
  let second: { readonly port: number; readonly url: string };
  let node: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    second = await plane.startSecondApiserver();
  });
  afterAll(async () => {
    await plane?.stop();
  });
  afterEach(async () => {
    await node.remove();
  });

  async function startHub(apiServerOrder: string): Promise<void> {
    const operator = plane.clientCertificate('operator', ['system:masters']);
    node = await HubUnderTest.start({
      apiServer: plane.url,
      ca: plane.ca,
      node: { cert: operator.certificate, key: operator.key },
      settings: { apiServers: [plane.url, second.url], apiServerOrder },
    });
  }

  const create = (name: string, through = node.client): Promise<unknown> =>
    through.request('POST', configMaps, {
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }),
      headers: { 'content-type': 'application/json' },
    });

  async function watched(): Promise<LocalWatch> {
    const list = await node.client.get<List>(`${configMaps}?resourceVersion=0`);
    return await node.client.watch(`${configMaps}?watch=true&resourceVersion=${list.metadata.resourceVersion}`);
  }

  const arrived = (watch: LocalWatch, name: string): Promise<unknown> =>
    watch.until((event) => event.object.metadata.name === name);

  test.each(['priority', 'round-robin'])(
    'by %s: each server dies in turn, no event is missed, doubled or reordered, and local watches stay open',
    async (order) => {
      await startHub(order);
      const names = (prefix: string): string[] => Array.from({ length: 5 }, (_, at) => `${order}-${prefix}-${at}`);
      const watch = await watched();
      const wanted: string[] = [];
      const write = async (prefix: string): Promise<void> => {
        for (const name of names(prefix)) {
          await create(name);
          wanted.push(`ADDED ${name}`);
        }
        await arrived(watch, names(prefix).at(-1) ?? '');
      };
      await write('both');
      await plane.stopApiserver();
      await write('second-alone');
      expect(node.hub.status().cloud.reachable).toBe(true);
      await plane.startApiserver();
      await until(
        async () =>
          (await node.metric(`holdfast_yurthub_api_server_reachable{server="127.0.0.1:${plane.port}"}`)) === 1,
        'the first server is back',
      );
      await plane.stopSecondApiserver();
      await write('first-alone');
      expect(node.hub.status().cloud.reachable).toBe(true);

      await plane.stopApiserver();
      await until(() => !node.hub.status().cloud.reachable, 'the cloud is lost');
      const offline = await node.client.request('GET', `${configMaps}/${order}-both-0`);
      expect(offline.status).toBe(200);
      await plane.startSecondApiserver();
      await until(() => node.hub.status().cloud.reachable, 'the cloud is back');
      await plane.startApiserver();
      await write('back');

      expect(watch.summary()).toEqual(wanted);
      expect(watch.ended).toBe(false);
      for (const line of wanted) await plane.request('DELETE', `${configMaps}/${line.slice('ADDED '.length)}`);
    },
  );
});
