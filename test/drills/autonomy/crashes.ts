// (e) kill -9 of the hub at random moments while objects change: the store opens each time, and what a client has seen it
// never sees older.
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { namespace } from '../workload.ts';
import type { Stage } from './stage.ts';

/** A ConfigMap that the node's pods refer to, so that the hub keeps a view of it. */
const view = `/api/v1/namespaces/${namespace}/configmaps?fieldSelector=metadata.name%3Dsettings`;
const longestLifeMs = 1_200;
const writeEveryMs = 15;

interface ConfigMap {
  metadata: { resourceVersion: string };
  data: { count?: string };
}

export async function crashes(stage: Stage): Promise<void> {
  const kills = stage.quick ? 10 : 50;
  const stop = new AbortController();
  const load = countUp(stage, stop.signal);
  let seen = 0;
  let recoveries = 0;
  const starts: number[] = [];
  try {
    await stage.report.check(`no view goes back in ${kills} times kill -9 under load`, async () => {
      for (let kill = 0; kill < kills; kill += 1) {
        stage.signal.throwIfAborted();
        const reader = new AbortController();
        const watching = watchCounts(stage, reader.signal, (count) => {
          expectThat(count >= seen, `a watch showed ${count} after ${seen}, in life ${kill}`);
          seen = count;
        });
        await Promise.race([sleep(Math.random() * longestLifeMs), watching]);
        await stage.hub.kill9();
        reader.abort();
        await watching;
        const started = performance.now();
        await stage.hub.start();
        const count = await firstCount(stage);
        starts.push(performance.now() - started);
        expectThat(count >= seen, `a list showed ${count} after ${seen}, after kill ${kill + 1}`);
        seen = count;
        recoveries += await stage.hub.metric('holdfast_yurthub_store_recoveries_total');
      }
      const slowest = Math.max(...starts);
      return `${seen} changes seen, slowest first answer ${Math.round(slowest)} ms`;
    });
    await stage.report.check('the store opened every time without repair', () => {
      expectThat(starts.length === kills, `${starts.length} of ${kills} starts`);
      expectThat(recoveries === 0, `${recoveries} recoveries`);
    });
  } finally {
    stop.abort();
    await load;
  }
  await stage.report.check('the node is Ready after that', () =>
    stage.cluster.waitForNode(stage.edge.name, true, 180_000),
  );
}

/** Writes 1, 2, 3 … into the ConfigMap until `signal` aborts. */
async function countUp(stage: Stage, signal: AbortSignal): Promise<void> {
  const file = `/api/v1/namespaces/${namespace}/configmaps/settings`;
  for (let count = 1; !signal.aborted; count += 1) {
    await stage.cloud.request('PATCH', file, { data: { count: String(count) } });
    await sleep(writeEveryMs);
  }
}

/** Follows the view until the hub dies, `signal` aborts, or `see` throws. */
async function watchCounts(stage: Stage, signal: AbortSignal, see: (count: number) => void): Promise<void> {
  const client = await stage.throughHub();
  let failure: unknown;
  const isRight = (object: ConfigMap): boolean => {
    try {
      see(Number(object.data.count ?? 0));
    } catch (error) {
      failure = error;
    }
    return failure === undefined;
  };
  try {
    const list = await client.request<{ metadata: { resourceVersion: string }; items: ConfigMap[] }>(
      'GET',
      `${view}&resourceVersion=0`,
    );
    if (!list.items.every(isRight)) throw failure;
    const events = client.watch<ConfigMap>(`${view}&resourceVersion=${list.metadata.resourceVersion}`, signal);
    for await (const event of events) {
      if ((event.type === 'ADDED' || event.type === 'MODIFIED') && !isRight(event.object)) break;
    }
  } catch {
    // the hub was killed, perhaps before its list was out: that is the drill
  }
  if (failure !== undefined) throw failure;
}

/** What the hub's own store says first after a start. */
async function firstCount(stage: Stage): Promise<number> {
  const client = await stage.throughHub();
  return waitFor(
    'the hub answers after its start',
    async () => {
      const path = `${view}&resourceVersion=0`;
      const list = await client.request<{ items: ConfigMap[] }>('GET', path, undefined, { timeoutMs: 5_000 });
      return Number(list.items[0]?.data.count ?? 0);
    },
    { deadlineMs: 180_000, everyMs: 20 },
  );
}
