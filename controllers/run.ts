// holdfast controllers as a process: the parts that only a process has.
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { Controllers } from './controllers.ts';
import { evictionGuard } from './eviction-guard/controllers.ts';
import { electionOf } from './machinery/leader-election.ts';
import { KubeconfigAccess } from './machinery/kubeconfig-access.ts';
import { controllerFactories } from './registry.ts';
import type { ControllersSettings } from './settings.ts';

/** Resolves when all has ended. Rejects with AccessError and ListenError. */
export async function runControllers(
  settings: ControllersSettings,
  log: Log,
  version: string,
  signal: AbortSignal,
): Promise<void> {
  const access = new KubeconfigAccess(systemClock, settings.kubeconfig);
  const parts = { access, log, clock: systemClock, metrics: new Metrics(), random: Math.random };
  const identity = `${hostname()}_${randomUUID()}`;
  const guard = settings.evictionGuard ? [evictionGuard({ staySeconds: settings.podStaySeconds })] : [];
  await new Controllers(parts, { ...settings, version, identity, election: electionOf(settings.leaseSeconds) }, [
    ...controllerFactories,
    ...guard,
  ]).run(signal);
}
