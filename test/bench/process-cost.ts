// What a process costs, from /proc: processor time of all its threads, and memory.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Linux reports processor time in hundredths of a second on every architecture that Node.js runs on (USER_HZ). */
const tickMs = 10;

/** User and system time since the process began, in ms; threads that have ended included. Throws when it is gone. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name may hold spaces and brackets
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Of all processors together, since the machine started: what anybody used, and all there was, in ms. */
export function machineMs(): { busyMs: number; allMs: number } {
  const [user = 0, nice = 0, system = 0, idle = 0, ioWait = 0, ...interrupts] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .split(/\s+/)
    // interrupts, softirqs and what a hypervisor took; guests are in `user` already (proc(5))
    .slice(1, 9)
    .map(Number);
  const busy = interrupts.reduce((sum, each) => sum + each, user + nice + system);
  return { busyMs: busy * tickMs, allMs: (busy + idle + ioWait) * tickMs };
}

export interface Memory {
  residentMiB: number;
  /** Resident without mapped files: LevelDB's tables count as resident for as long as nobody else needs the memory. */
  anonymousMiB: number;
  /** Pages that other processes have too count in part: the text of Node.js, mostly. */
  proportionalMiB: number;
  /** Highest resident memory since the start or since resetPeak. */
  peakMiB: number;
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    residentMiB: kibibytes(status, 'VmRSS') / 1024,
    anonymousMiB: kibibytes(status, 'RssAnon') / 1024,
    proportionalMiB: kibibytes(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Pss') / 1024,
    peakMiB: kibibytes(status, 'VmHWM') / 1024,
  };
}

/** Lets the peak begin anew at what is resident now (proc(5), clear_refs). */
export function resetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/**
 * Waits until the process has used less than a twentieth of a processor for half a second. Returns when that half second
 * began, on performance.now's clock.
 */
export async function untilIdle(pid: number, signal: AbortSignal): Promise<number> {
  const windowMs = 500;
  for (;;) {
    const began = performance.now();
    const before = cpuMs(pid);
    let used = 0;
    while (performance.now() - began < windowMs && used <= windowMs / 20) {
      await delay(20, undefined, { signal });
      used = cpuMs(pid) - before;
    }
    if (used <= windowMs / 20) return began;
  }
}

function kibibytes(text: string, field: string): number {
  const value = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  if (value === undefined) throw new Error(`no ${field} in ${text.slice(0, 80)}`);
  return Number(value);
}
