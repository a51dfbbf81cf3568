// `holdfast node`: the hub as a process of its own.
import { systemClock } from '../runtime/clock.ts';
import { createLog } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Hub } from './hub.ts';
import type { NodeSettings } from './settings.ts';

/** Serves until `signal` aborts. */
export async function runNode(settings: NodeSettings, signal: AbortSignal, version: string): Promise<void> {
  const log = createLog(settings.logLevel);
  const hub = new Hub(settings, { log, metrics: new Metrics(), clock: systemClock, version });
  await hub.run(signal);
}
