// One node of the benchmark of health, in a process of its own: its health part with a hub that says what it is told, or, as the
// baseline, the same process without that part. Says `ready`, and ends when its input does.
import https from 'node:https';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import { Health, type HealthSettings } from '../../health/health.ts';
import { FakeHub } from '../health/fake-hub.ts';
import type { OwnPool } from '../../health/node-hub.ts';
import type { Endpoint } from '../../runtime/settings.ts';

export interface BenchNode {
  readonly settings: Omit<HealthSettings, 'relayTargets'>;
  readonly relayTargets: readonly Endpoint[];
  readonly pool: OwnPool;
  readonly isBaseline: boolean;
}

const { settings, relayTargets, pool, isBaseline } = JSON.parse(process.argv[2] ?? '') as BenchNode;
const stop = new AbortController();
process.stdin.on('end', () => stop.abort()).resume();
const metrics = new Metrics();
const hub = new FakeHub();
hub.pool = pool;
// What a hub has loaded anyway.
https.createServer();
const health = new Health(
  { log: nullLog, clock: systemClock, metrics, random: Math.random },
  { ...settings, relayTargets: () => relayTargets },
);
const running = isBaseline ? untilAborted(stop.signal) : health.run(hub, stop.signal);
const renewals = setInterval(() => void health.leaseAnnotation(), 10_000);
process.stdout.write('ready\n');
await running;
clearInterval(renewals);
