// holdfast tunnel-server as a process: the parts that only a process has.
import { randomUUID } from 'node:crypto';
import { systemClock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { livenessDefaults } from '../tunnel/liveness.ts';
import { TunnelServer } from './server.ts';
import type { ServerConfiguration } from './settings.ts';

/** Resolves when all has ended. Rejects with TunnelError. */
export async function runTunnelServer(
  settings: ServerConfiguration,
  log: Log,
  version: string,
  signal: AbortSignal,
): Promise<void> {
  const parts = { log, clock: systemClock, metrics: new Metrics(), random: Math.random };
  const options = { version, serverId: randomUUID(), liveness: livenessDefaults };
  await new TunnelServer(parts, settings, options).run(signal);
}
