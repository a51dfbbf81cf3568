// Memory beside a kubelet with 30 pods: idle, and over a run of events. A leak shows as a slope.
import { setTimeout as delay } from 'node:timers/promises';
import { memoryOf } from '../process-cost.ts';
import { slope } from '../samples.ts';
import { nodeName, paths, podCount } from '../seed.ts';
import type { Way } from '../ways.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

const eventsPerSecond = 10;
const hourMs = 3_600_000;
/** The first part of a run is left out of the slope: code becomes hot, heaps and caches fill, once in the life of a process. */
const warmUpPart = 1 / 3;

export async function measureMemory(context: Context): Promise<void> {
  const { bed, samples, scale, round } = context;
  await eachWay(context, async (way) => {
    if (way.pid === undefined) return;
    await using kubelet = await bed.load.prepare('kubelet', way, bed.identity, {
      node: nodeName,
      lease: nodeName,
      namespace: 'bench-pods',
      pods: podCount,
    });
    kubelet.go();
    await delay(scale.settleSeconds * 1000, undefined, { signal: bed.signal });
    const memory = memoryOf(way.pid);
    samples.add('idle-resident', way.variant, memory.residentMiB);
    samples.add('idle-proportional', way.variant, memory.proportionalMiB);
    samples.add('idle-peak', way.variant, memory.peakMiB);
    if (round === 0 && way.variant === 'hub') await measureSlope(context, way, way.pid);
  });
}

async function measureSlope({ bed, samples, scale }: Context, way: Way, pid: number): Promise<void> {
  bed.say(`memory at ${eventsPerSecond} events/s for ${scale.slopeMinutes} minutes …`);
  await using writer = await bed.load.prepare('write', bed.direct, bed.identity, {
    path: paths.pod,
    rate: eventsPerSecond,
  });
  writer.go();
  const points: [x: number, y: number][] = [];
  const durationMs = scale.slopeMinutes * 60_000;
  const started = performance.now();
  for (let elapsedMs = 0; elapsedMs < durationMs; elapsedMs = performance.now() - started) {
    if (elapsedMs >= durationMs * warmUpPart) points.push([elapsedMs / hourMs, memoryOf(pid).residentMiB]);
    await delay(1000, undefined, { signal: bed.signal });
  }
  writer.finish();
  const { errors } = await writer.result<{ errors: number }>();
  if (errors > 0) throw new Error(`${errors} writes failed`);
  samples.add(scale.slopeMinutes >= 60 ? 'slope-hour' : 'slope', way.variant, slope(points));
  samples.add('slope-resident', way.variant, memoryOf(pid).residentMiB);
}
