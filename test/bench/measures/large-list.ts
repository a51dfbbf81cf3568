// A list of 20 MB: the first of a new view, which goes through the hub and into its store, and the ones after it.
import { setTimeout as delay } from 'node:timers/promises';
import { cpuMs, memoryOf, resetPeak, untilIdle } from '../process-cost.ts';
import { largeCount, paths } from '../seed.ts';
import type { Way } from '../ways.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

interface ListResult {
  totalMs: number[];
  firstByteMs: number[];
}

interface TimedList {
  result: ListResult;
  /** Until the process on the way was idle again; of a direct connection, until the list was complete. */
  settledMs: number;
  usedMs: number;
}

export async function measureLargeList(context: Context): Promise<void> {
  const { samples, scale, bed } = context;
  await eachWay(context, async (way) => {
    if (way.pid !== undefined) await untilIdle(way.pid, bed.signal);
    const before = way.pid === undefined ? undefined : memoryOf(way.pid);
    if (way.pid !== undefined) resetPeak(way.pid);
    const cold = await timeLists(context, way, 1);
    const add = (row: string, value: number | undefined): void => {
      if (value !== undefined) samples.add(row, way.variant, value);
    };
    add('list-cold-total', cold.result.totalMs[0]);
    add('list-cold-first-byte', cold.result.firstByteMs[0]);
    add('list-cold-settled', cold.settledMs);
    if (way.pid !== undefined && before !== undefined) {
      add('list-cold-cpu', cold.usedMs);
      add('list-cold-growth', memoryOf(way.pid).peakMiB - before.residentMiB);
    }
    const warm = await timeLists(context, way, scale.warmLists);
    for (const totalMs of warm.result.totalMs) add('list-warm-total', totalMs);
    if (way.pid === undefined) return;
    add('list-warm-cpu', warm.usedMs / scale.warmLists);
    const { residentMiB, peakMiB } = memoryOf(way.pid);
    add('list-peak', peakMiB);
    add('list-memory', residentMiB);
    if (scale.minuteLater && context.round === 0) {
      await delay(60_000, undefined, { signal: bed.signal });
      add('list-memory-minute', memoryOf(way.pid).residentMiB);
    }
    if (before !== undefined) add('list-memory-left', memoryOf(way.pid).anonymousMiB - before.anonymousMiB);
  });
}

async function timeLists({ bed }: Context, way: Way, count: number): Promise<TimedList> {
  await using run = await bed.load.prepare('list', way, bed.identity, {
    path: `${paths.largeCollection}?resourceVersion=0`,
    count,
    expect: largeCount,
  });
  const cpuBefore = way.pid === undefined ? 0 : cpuMs(way.pid);
  const started = performance.now();
  run.go();
  const result = await run.result<ListResult>();
  if (way.pid === undefined) return { result, settledMs: performance.now() - started, usedMs: 0 };
  const answered = performance.now();
  const idleSince = await untilIdle(way.pid, bed.signal);
  return {
    result,
    settledMs: Math.max(idleSince, answered) - started,
    usedMs: cpuMs(way.pid) - cpuBefore,
  };
}
