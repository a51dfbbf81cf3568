// The hub starts with the cloud gone: how long from the start of the process until a whole list has come from the store, and
// how long a list takes that is the first of its view since the start.
import { ask, untilAnswer, type Answer } from '../client.ts';
import { untilIdle } from '../process-cost.ts';
import { coldStartRow, coldStartSizes, offlineListSize, outageKinds } from '../rows.ts';
import { coldStartCollection, paths, seedColdStart } from '../seed.ts';
import type { Way } from '../ways.ts';
import type { Context } from './measurement.ts';
import { relayTo } from './outage.ts';

const deadlineMs = 60_000;

export async function measureColdStart(context: Context): Promise<void> {
  if (!context.bed.hasHub) return;
  for (const objects of coldStartSizes) await measureSize(context, objects);
  await measureOfflineList(context);
}

async function seed({ bed, round }: Context, objects: number): Promise<void> {
  if (round > 0) return;
  bed.say(`creating ${objects.toLocaleString('en')} objects for cold starts …`);
  await seedColdStart(bed.load, bed.direct, bed.identity, objects);
}

async function measureSize(context: Context, objects: number): Promise<void> {
  await seed(context, objects);
  const { bed, samples } = context;
  await using relay = await relayTo(bed.plane);
  await using hub = await bed.startHub(relay.url);
  const { path, label } = coldStartCollection(objects);
  const list = async (): Promise<{ status: number; body: string }> =>
    ask(hub.way, bed.identity, `${path}&resourceVersion=0`, { timeoutMs: deadlineMs });
  const isWhole = (answer: { status: number; body: string }): boolean =>
    answer.status === 200 && answer.body.split(`"name":"${label}-`).length - 1 === objects;
  const waiting = (what: string): { what: string; deadlineMs: number; signal: AbortSignal } => ({
    what: `${what} of ${objects} objects`,
    deadlineMs,
    signal: bed.signal,
  });
  await untilAnswer(list, isWhole, performance.now(), waiting('the first list'));
  for (const kind of outageKinds) {
    await untilIdle(hub.pid, bed.signal);
    await hub.stop();
    await relay.cut(kind);
    const started = performance.now();
    hub.launch();
    samples.add(
      coldStartRow(objects, kind),
      'hub',
      await untilAnswer(list, isWhole, started, waiting(`the list (${kind})`)),
    );
    await relay.heal();
  }
}

/** Nobody has asked for the collection since the hub started, and the cloud goes before somebody does. */
async function measureOfflineList(context: Context): Promise<void> {
  const objects = offlineListSize;
  await seed(context, objects);
  const { bed, samples } = context;
  const flags = { path: `${coldStartCollection(objects).path}&resourceVersion=0`, count: 1, expect: objects };
  const list = async (way: Way, beforeGo: () => Promise<void>): Promise<number> => {
    await using client = await bed.load.prepare('list', way, bed.identity, flags);
    await beforeGo();
    client.go();
    const [totalMs] = (await client.result<{ totalMs: number[] }>()).totalMs;
    if (totalMs === undefined) throw new Error('the list was not timed');
    return totalMs;
  };
  const atOnce = (): Promise<void> => Promise.resolve();
  await list(bed.direct, atOnce); // the first of its kind is nobody's measure
  samples.add('offline-list', 'direct', await list(bed.direct, atOnce));
  await using relay = await relayTo(bed.plane);
  await using hub = await bed.startHub(relay.url);
  await list(hub.way, atOnce);
  await untilIdle(hub.pid, bed.signal);
  await hub.stop();
  hub.launch();
  const waiting = (what: string): { what: string; deadlineMs: number; signal: AbortSignal } => ({
    what,
    deadlineMs,
    signal: bed.signal,
  });
  // Nothing of it is kept, so it is answered exactly as long as the cloud can be asked.
  const fresh = (): Promise<Answer> => ask(hub.way, bed.identity, paths.smallCollection, { timeoutMs: deadlineMs });
  await untilAnswer(fresh, ({ status }) => status === 200, performance.now(), waiting('the hub is ready'));
  const offline = await list(hub.way, async () => {
    await relay.cut('refuse');
    await untilAnswer(fresh, ({ status }) => status === 503, performance.now(), waiting('the cloud is gone'));
    await untilIdle(hub.pid, bed.signal);
  });
  samples.add('offline-list', 'hub', offline);
}
