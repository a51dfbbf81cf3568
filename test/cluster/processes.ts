// Long-running programs, each with a log file and a record on disk. The record (pid and start time) outlives this
// process, so that `down` after a crash ends exactly what was started, and never a stranger that got the same pid.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { waitFor } from './commands.ts';
import { HarnessError } from './errors.ts';

export interface ProcessRecord {
  name: string;
  pid: number;
  /** Clock ticks between boot and the start of the process: field 22 of /proc/PID/stat. */
  startTicks: string;
  /** The nsenter or unshare around it, which ends with it. */
  wrapperPid?: number;
  argv: readonly string[];
  logFile: string;
}

export interface StartOptions {
  logFile: string;
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** `argv` is an nsenter or unshare that forks: the process that counts is its child. */
  forks?: boolean;
}

export class ProcessTable {
  readonly #folder: string;

  /** `stateFolder`: where the records are kept, in `processes/NAME.json`. */
  constructor(stateFolder: string) {
    this.#folder = path.join(stateFolder, 'processes');
  }

  /** Starts a program that goes on when this process ends. Its output is appended to the log file. */
  async start(name: string, argv: readonly string[], options: StartOptions): Promise<ProcessRecord> {
    if (this.running(name)) throw new TypeError(`${name} runs already`);
    mkdirSync(this.#folder, { recursive: true });
    mkdirSync(path.dirname(options.logFile), { recursive: true });
    const log = openSync(options.logFile, 'a');
    const [file = '', ...args] = argv;
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: options.env ?? process.env,
      cwd: options.cwd,
    });
    closeSync(log);
    await new Promise((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const outer = child.pid ?? 0;
    const pid = options.forks === true ? await firstChild(outer, name, options.logFile) : outer;
    const record: ProcessRecord = {
      name,
      pid,
      startTicks: startTicks(pid) ?? '0',
      ...(options.forks === true ? { wrapperPid: outer } : {}),
      argv,
      logFile: options.logFile,
    };
    writeFileSync(this.#file(name), JSON.stringify(record, null, 1));
    return record;
  }

  /** The record of a process that is alive now; undefined if it ended or was never started. */
  running(name: string): ProcessRecord | undefined {
    const record = this.#read(name);
    return record && isAlive(record) ? record : undefined;
  }

  names(): string[] {
    if (!existsSync(this.#folder)) return [];
    return readdirSync(this.#folder).map((file) => file.replace(/\.json$/, ''));
  }

  signal(name: string, signal: NodeJS.Signals): void {
    const record = this.running(name);
    if (record) kill(record.pid, signal);
  }

  /** TERM, then KILL after `graceMs`; with `graceMs` 0, KILL at once. Returns when the process is gone. */
  async stop(name: string, graceMs = 10_000): Promise<void> {
    const record = this.running(name);
    if (record) {
      if (graceMs > 0) {
        kill(record.pid, 'SIGTERM');
        await waitFor(`${name} ends after SIGTERM`, () => !isAlive(record), { deadlineMs: graceMs, everyMs: 20 }).catch(
          () => undefined, // KILL follows
        );
      }
      if (isAlive(record)) kill(record.pid, 'SIGKILL');
      await waitFor(`${name} ends after SIGKILL`, () => !isAlive(record), { deadlineMs: 60_000, everyMs: 10 });
    }
    rmSync(this.#file(name), { force: true });
  }

  /** Throws PROCESS_ENDED with the end of the log unless the process runs: for readiness probes. */
  assertRunning(name: string): void {
    if (this.running(name)) return;
    const record = this.#read(name);
    throw new HarnessError('PROCESS_ENDED', `${name} ended:\n${record ? logTail(record.logFile) : '(never started)'}`);
  }

  #file(name: string): string {
    return path.join(this.#folder, `${name}.json`);
  }

  #read(name: string): ProcessRecord | undefined {
    try {
      return JSON.parse(readFileSync(this.#file(name), 'utf8')) as ProcessRecord;
    } catch {
      return undefined; // no record: it was never started, or its writer was killed before the record was whole
    }
  }
}

/** The last lines of a log file, for an error message. */
export function logTail(file: string, lines = 15): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines).join('\n');
  } catch {
    return `(no log at ${file})`;
  }
}

/** Whether the process of this record, and no later one with its pid, is alive. A zombie is not. */
export function isAlive(record: Pick<ProcessRecord, 'pid' | 'startTicks'>): boolean {
  return startTicks(record.pid) === record.startTicks;
}

/**
 * Field 22 of /proc/PID/stat; undefined for a process that is gone or a zombie. While other threads of a zombie are
 * still ending, its sockets are open and its ports taken, so that does not count as gone yet.
 */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ...fields] = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // the name may hold spaces and brackets
    if (state === 'X' || (state === 'Z' && readdirSync(`/proc/${pid}/task`).length <= 1)) return undefined;
    return fields[18];
  } catch {
    return undefined;
  }
}

/** The children of a process, by the kernel's own list. */
export function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // it ended
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // it ended between the check and the signal
  }
}

function firstChild(pid: number, name: string, logFile: string): Promise<number> {
  return waitFor(
    `${name} starts`,
    () => {
      const [child] = childrenOf(pid);
      if (child !== undefined) return child;
      if (startTicks(pid) === undefined) throw new HarnessError('PROCESS_ENDED', `${name} ended:\n${logTail(logFile)}`);
      return undefined;
    },
    { deadlineMs: 60_000, everyMs: 2 },
  );
}
