// Go's own client through a hub whose link is cut again and again while writes go on: in the end it has to hold what the
// API server holds, and it must not have been told anything that cannot be true.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest, until } from '../integration/hub-under-test.ts';
import { buildInformer, Informer, type InformerRecord, type Release } from './informer-program.ts';
import { RandomWrites, randomFrom, selectedLabels } from './random-writes.ts';

/** `npm run test:contract -- --cuts 20` is the full form. */
const cuts = Number(process.env['HOLDFAST_CUTS'] ?? '4');
const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const maxCutMs = 3_000;
/** Writes in one cut that are missed all at once; after another cut the API server has forgotten what was before. */
const burst = 300;
const namespace = 'changing';

interface Way {
  readonly name: string;
  readonly release: Release;
  /** The feature gate; undefined as the release has it. */
  readonly watchList: boolean | undefined;
  readonly isWatchList: boolean;
}

const ways: readonly Way[] = [
  { name: 'client-go 0.34, list and watch', release: 'go.mod', watchList: false, isWatchList: false },
  { name: 'client-go 0.34, watch-list', release: 'go.mod', watchList: true, isWatchList: true },
  { name: 'client-go 0.36, as it is', release: 'next.mod', watchList: undefined, isWatchList: true },
];

describeWithApiserver(`client-go through the hub, ${cuts} cuts, seed ${seed}`, () => {
  let plane: ControlPlane;
  let relay: TcpRelay;
  let hub: HubUnderTest;
  let records: Map<string, InformerRecord[]>;
  let listsUpstream: number;
  let expected: Map<string, Record<string, string>>;
  const informers: Informer[] = [];

  beforeAll(
    async () => {
      const files = new Map<Release, string>();
      for (const { release } of ways) files.set(release, files.get(release) ?? (await buildInformer(release)));
      plane = await ControlPlane.start({ controllers: false });
      await plane.request('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
      await relay.listen();
      const { certificate: cert, key } = plane.clientCertificate('operator', ['system:masters']);
      const apiServer = `https://127.0.0.1:${relay.port}`;
      hub = await HubUnderTest.start({ apiServer, ca: plane.ca, node: { cert, key } });
      const ca = path.join(hub.folder, 'hub-ca.crt');
      await writeFile(ca, hub.hub.caPem);
      const flags = {
        server: `https://127.0.0.1:${hub.port}`,
        ca,
        cert: path.join(hub.folder, 'client.crt'),
        key: path.join(hub.folder, 'client.key'),
        namespace,
        selector: selectedLabels,
      };
      const random = randomFrom(seed);
      const writes = new RandomWrites(plane, namespace, random);
      await writes.some(60);
      for (const way of ways) informers.push(new Informer(files.get(way.release) ?? '', flags, way.watchList));
      await Promise.all(informers.map((informer) => informer.synced()));
      await cutAgainAndAgain(writes, random);
      const last = await writes.last();
      const found = await Promise.all(informers.map((informer) => informer.finish(last)));
      listsUpstream = await hub.metric('holdfast_yurthub_upstream_lists_total');
      records = new Map(ways.map(({ name }, index) => [name, found[index] ?? []]));
      expected = new Map([
        ['', await held('')],
        [selectedLabels, await held(selectedLabels)],
      ]);
    },
    180_000 + cuts * 10_000,
  );

  afterAll(async () => {
    for (const informer of informers) await informer.stop();
    await hub?.remove();
    await relay?.close();
    await plane?.stop();
  });

  async function cutAgainAndAgain(writes: RandomWrites, random: () => number): Promise<void> {
    const stop = new AbortController();
    const writing = writes.run(stop.signal);
    try {
      for (let cut = 0; cut < cuts; cut += 1) {
        const healthyMs = 200 + random() * 1_000;
        await new Promise((resolve) => setTimeout(resolve, healthyMs));
        await relay.cut(random() < 0.5 ? 'refuse' : 'blackhole');
        const cutMs = 50 + random() * maxCutMs;
        await new Promise((resolve) => setTimeout(resolve, cutMs));
        if (cut % 4 === 1) await writes.between(() => writes.some(burst));
        if (cut % 4 === 2) await writes.between(() => plane.restartApiserver());
        await relay.heal();
      }
    } finally {
      stop.abort();
      await writing;
    }
    await until(() => hub.hub.status().cloud.reachable, 'the cloud is back', 60_000);
  }

  /** What the API server holds, as an informer says it. */
  async function held(labelSelector: string): Promise<Record<string, string>> {
    const query = new URLSearchParams({ labelSelector }).toString();
    const list = await plane.request<{ items: { metadata: Record<string, string> }[] }>(
      'GET',
      `/api/v1/namespaces/${namespace}/configmaps?${query}`,
    );
    return Object.fromEntries(
      list.items.map(({ metadata }) => [metadata['name'], `${metadata['uid']}@${metadata['resourceVersion']}`]),
    );
  }

  test('some cuts were made up for by events, and some by a list and its difference', () => {
    const views = 4;
    expect(listsUpstream).toBeGreaterThan(views);
    expect(listsUpstream).toBeLessThan(views * cuts);
  });

  const each = ways.flatMap((way) =>
    (['json', 'protobuf'] as const).flatMap((encoding) =>
      ['', selectedLabels].map((labels) => [way.name, encoding, labels, way] as const),
    ),
  );

  describe.each(each)('%s, %s, labels %j', (name, encoding, labels, way) => {
    const found = (): InformerRecord => {
      const record = records.get(name)?.find((one) => one.encoding === encoding && one.labels === labels);
      if (record === undefined) throw new Error('the informer said nothing of it');
      return record;
    };

    test('holds what the API server holds', () => {
      expect(found().objects).toEqual(expected.get(labels));
    });

    test('was told nothing that cannot be true, and something', () => {
      expect(found().violations).toEqual([]);
      expect(found().events).toBeGreaterThan(cuts);
    });

    test('began as it should, and never had to begin again', () => {
      const { lists, watchLists, replaced } = found();
      expect({ lists, watchLists, replaced }).toEqual({
        lists: way.isWatchList ? 0 : 1,
        watchLists: way.isWatchList ? 1 : 0,
        replaced: 1,
      });
    });
  });
});
