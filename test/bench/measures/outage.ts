// The link between hub and API server is lost and comes back: how long until the first answer from the store, and until
// answers are fresh again. The client asks for what must be fresh while the cloud can be reached (no resourceVersion), so that
// the hub has to notice the loss before it may answer.
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { TcpRelay } from '../../../runtime/tcp-relay.ts';
import { ask, untilAnswer, WatchProbe } from '../client.ts';
import type { Answer } from '../client.ts';
import { outageKinds } from '../rows.ts';
import type { OutageKind } from '../rows.ts';
import { paths } from '../seed.ts';
import type { Context } from './measurement.ts';

const deadlineMs = 60_000;

export async function measureOutage(context: Context): Promise<void> {
  if (!context.bed.hasHub) return;
  for (const kind of outageKinds) await measureKind(context, kind);
}

async function measureKind({ bed, samples, scale, round }: Context, kind: OutageKind): Promise<void> {
  await using relay = await relayTo(bed.plane);
  await using hub = await bed.startHub(relay.url);
  const agent = new https.Agent({ keepAlive: true });
  const get = (path: string): Promise<Answer> => ask(hub.way, bed.identity, path, { timeoutMs: deadlineMs, agent });
  try {
    const listed = await get(`${paths.smallCollection}?resourceVersion=0`);
    const version = /"resourceVersion":"(\d+)"/.exec(listed.body)?.[1];
    if (version === undefined) throw new Error(`the hub's first list: ${listed.status} ${listed.body.slice(0, 300)}`);
    using watch = new WatchProbe(
      hub.way,
      bed.identity,
      `${paths.smallCollection}?watch=true&allowWatchBookmarks=true&timeoutSeconds=3000&resourceVersion=${version}`,
    );
    await watch.open();
    const live = `live-${kind}-${round}`;
    const [, wasLive] = await Promise.all([change(live), watch.saw(live, deadlineMs)]);
    if (!Number.isFinite(wasLive)) throw new Error('the watch is not live');
    await untilAnswer(() => get(paths.smallObject), holds(live), performance.now(), waiting('a fresh answer at first'));

    const cutAt = performance.now();
    await relay.cut(kind);
    const [getMs, listMs] = await Promise.all([
      untilAnswer(() => get(paths.smallObject), holds(live), cutAt, waiting('an offline answer to GET')),
      untilAnswer(() => get(paths.smallCollection), holds(live), cutAt, waiting('an offline answer to a list')),
    ]);
    samples.add(`${kind}-first-get`, 'hub', getMs);
    samples.add(`${kind}-first-list`, 'hub', listMs);

    await delay(scale.outageSeconds * 1000, undefined, { signal: bed.signal });
    const missed = `missed-${kind}-${round}`;
    await change(missed);
    const event = watch.saw(missed, deadlineMs);
    event.catch(() => undefined); // awaited below
    const healedAt = performance.now();
    await relay.heal();
    const freshMs = await untilAnswer(() => get(paths.smallObject), holds(missed), healedAt, waiting('a fresh answer'));
    samples.add(`${kind}-fresh`, 'hub', freshMs);
    samples.add(`${kind}-event`, 'hub', (await event) - healedAt);
  } finally {
    agent.destroy();
  }

  async function change(mark: string): Promise<void> {
    await bed.plane.request('PATCH', paths.smallObject, { metadata: { annotations: { 'holdfast.dev/mark': mark } } });
  }

  function waiting(what: string): { what: string; deadlineMs: number; signal: AbortSignal } {
    return { what: `${what} (${kind})`, deadlineMs, signal: bed.signal };
  }
}

function holds(mark: string): (answer: Answer) => boolean {
  return ({ status, body }) => status === 200 && body.includes(mark);
}

export interface CutRelay extends AsyncDisposable {
  readonly url: string;
  cut(kind: OutageKind): Promise<void>;
  heal(): Promise<void>;
}

export async function relayTo(plane: { address: string; port: number }): Promise<CutRelay> {
  const relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
  await relay.listen();
  return {
    url: `https://127.0.0.1:${relay.port}`,
    cut: (kind) => relay.cut(kind),
    heal: () => relay.heal(),
    async [Symbol.asyncDispose]() {
      await relay.heal();
      await relay.close();
    },
  };
}
