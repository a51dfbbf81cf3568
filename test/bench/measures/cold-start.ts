// The hub starts with the cloud gone: how long from the start of the process until a whole list has come from the store.
import { ask, untilAnswer } from '../client.ts';
import { untilIdle } from '../process-cost.ts';
import { coldStartRow, coldStartSizes, outageKinds } from '../rows.ts';
import { coldStartCollection, seedColdStart } from '../seed.ts';
import type { Context } from './measurement.ts';
import { relayTo } from './outage.ts';

const deadlineMs = 60_000;

export async function measureColdStart(context: Context): Promise<void> {
  if (!context.bed.hasHub) return;
  for (const objects of coldStartSizes) await measureSize(context, objects);
}

async function measureSize({ bed, samples, round }: Context, objects: number): Promise<void> {
  if (round === 0) {
    bed.say(`creating ${objects.toLocaleString('en')} objects for cold starts …`);
    await seedColdStart(bed.load, bed.direct, bed.identity, objects);
  }
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
