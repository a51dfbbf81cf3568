// `holdfast node`: the hub as a process of its own.
import { systemClock } from '../runtime/clock.ts';
import { createLog } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Hub, type HubParts } from './hub.ts';
import type { Neighbours } from './neighbours/neighbours.ts';
import type { NodeSettings } from './settings.ts';

/** Serves until `signal` aborts. `neighbours` makes what knows the peers of this node. */
export async function runNode(
  settings: NodeSettings,
  signal: AbortSignal,
  version: string,
  neighbours: (parts: Omit<HubParts, 'neighbours'>) => Neighbours,
): Promise<void> {
  const log = createLog(settings.logLevel);
  const parts = { log, metrics: new Metrics(), clock: systemClock, version };
  const hub = new Hub(settings, { ...parts, neighbours: neighbours(parts) });
  await hub.run(signal);
}
