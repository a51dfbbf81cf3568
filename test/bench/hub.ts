// `npm run bench -- hub`: the hub against a direct connection and against Go's standard reverse proxy.
import { cpus, loadavg, release } from 'node:os';
import { reportedVersion } from '../cluster/binaries.ts';
import { run } from '../cluster/commands.ts';
import { hubCommand } from './hub-process.ts';
import { measureColdStart } from './measures/cold-start.ts';
import { measureIdleUplink } from './measures/idle-uplink.ts';
import { measureLargeList } from './measures/large-list.ts';
import { measureLease } from './measures/lease.ts';
import type { Measurement } from './measures/measurement.ts';
import { measureMemory } from './measures/memory.ts';
import { measureOutage } from './measures/outage.ts';
import { measureServicesMemory } from './measures/services-memory.ts';
import { measureSmallGet } from './measures/small-get.ts';
import { measureWatchDelay } from './measures/watch-delay.ts';
import { hubRows } from './rows.ts';
import { Samples } from './samples.ts';
import type { Scale } from './scale.ts';
import { report } from './table.ts';
import type { ReportRow } from './table.ts';
import { Testbed } from './testbed.ts';
import type { TestbedOptions } from './testbed.ts';

/** In the order of a round. */
export const hubMeasurements: Readonly<Record<string, Measurement>> = {
  get: measureSmallGet,
  list: measureLargeList,
  watch: measureWatchDelay,
  lease: measureLease,
  outage: measureOutage,
  'cold-start': measureColdStart,
  'idle-bytes': measureIdleUplink,
  'services-memory': measureServicesMemory,
  memory: measureMemory,
};

export interface HubReport {
  readonly bench: 'hub';
  readonly at: string;
  readonly machine: Readonly<Record<string, string | number>>;
  readonly pinning: string;
  readonly hub: string;
  readonly scale: Scale;
  readonly rows: readonly ReportRow[];
  /** Measurements that broke off, with why: their rows hold what was measured before. */
  readonly failures: readonly string[];
}

export async function benchHub(scale: Scale, only: readonly string[], options: TestbedOptions): Promise<HubReport> {
  const [loadBefore = 0] = loadavg();
  await using bed = await Testbed.start(options);
  if (!bed.hasHub) options.say('dist/holdfast.mjs is not built (npm run build): the hub is not measured');
  const samples = new Samples();
  const failures: string[] = [];
  for (let round = 0; round < scale.rounds; round++) {
    for (const [name, measure] of Object.entries(hubMeasurements)) {
      if (only.length > 0 && !only.includes(name)) continue;
      options.signal.throwIfAborted();
      options.say(`round ${round + 1} of ${scale.rounds}: ${name} …`);
      try {
        await measure({ bed, samples, scale, round });
      } catch (error) {
        options.signal.throwIfAborted();
        failures.push(`round ${round + 1}, ${name}: ${error instanceof Error ? error.message : String(error)}`);
        options.say(`  failed: ${failures.at(-1)}`);
      }
    }
  }
  return {
    bench: 'hub',
    at: new Date().toISOString(),
    machine: await machine(loadBefore),
    pinning: bed.pinning.description,
    hub: hubCommand,
    scale,
    rows: report(hubRows, samples),
    failures,
  };
}

/** `loadBefore`: processes that wanted to run in the last minute before; above a few tenths, others share the machine. */
async function machine(loadBefore: number): Promise<HubReport['machine']> {
  const processors = cpus();
  return {
    processors: processors.length,
    model: processors[0]?.model ?? 'unknown',
    kernel: release(),
    loadBefore: Number(loadBefore.toFixed(2)),
    node: process.version,
    go: (await run(['go', 'env', 'GOVERSION'])).trim(),
    kubernetes: await reportedVersion('kube-apiserver'),
  };
}
