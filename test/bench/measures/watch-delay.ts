// How late an event is after its object was written, with few and with many watches of one collection. The writer always
// writes directly to the API server.
import type { Encoding, Percentiles } from '../load-tool.ts';
import { cpuMs, memoryOf } from '../process-cost.ts';
import { watchClients, watchRate } from '../rows.ts';
import { paths } from '../seed.ts';
import type { Way } from '../ways.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

interface WatchResult extends Percentiles {
  received: number;
  missed: number;
  ended: number;
}

const encoding: Encoding = 'protobuf';

export async function measureWatchDelay(context: Context): Promise<void> {
  await eachWay(context, async (way) => {
    for (const clients of watchClients) await measureClients(context, way, clients);
  });
}

async function measureClients({ bed, samples, scale }: Context, way: Way, clients: number): Promise<void> {
  const rate = watchRate(clients);
  const events = Math.round(rate * scale.watchSeconds);
  await using watches = await bed.load.prepare('watch', way, bed.identity, {
    path: paths.watchedCollection,
    accept: encoding,
    clients,
    events,
  });
  await using writer = await bed.load.prepare('write', bed.direct, bed.identity, {
    path: paths.watchedObject,
    rate,
    count: events,
  });
  const before = way.pid === undefined ? 0 : cpuMs(way.pid);
  watches.go();
  writer.go();
  const written = await writer.result<{ writes: number }>();
  if (written.writes !== events) throw new Error(`${events - written.writes} of ${events} writes failed`);
  const result = await watches.result<WatchResult>();
  const add = (what: string, value: number): void => samples.add(`watch-${clients}-${what}`, way.variant, value);
  add('p50', result.p50Ms);
  add('p99', result.p99Ms);
  add('max', result.maxMs);
  add('missed', result.missed);
  if (way.pid === undefined) return;
  add('cpu', ((cpuMs(way.pid) - before) * 1000) / (events * clients));
  add('resident', memoryOf(way.pid).residentMiB);
}
