// Runs one command to its end, and waits for conditions. Everything here is bounded: nothing in the harness waits for ever.
import { spawn } from 'node:child_process';
import { HarnessError } from './errors.ts';

export interface RunOptions {
  input?: string | Buffer;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** Milliseconds until the command is killed. */
  timeoutMs?: number;
  /** Resolve even if the exit code is not 0. */
  mayFail?: boolean;
}

export interface RunResult {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `argv` without a shell. Rejects with COMMAND_FAILED, naming the command and what it said, unless `mayFail`. */
export function runFully(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const [file = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env ?? process.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? 180_000,
      killSignal: 'SIGKILL',
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
    child.on('error', (cause) =>
      reject(new HarnessError('COMMAND_FAILED', `${argv.join(' ')}: ${cause.message}`, { cause })),
    );
    child.on('close', (exitCode, signal) => {
      const result = {
        code: exitCode ?? 128,
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      };
      if (result.code === 0 || (options.mayFail === true && signal === null)) resolve(result);
      else {
        const said = (result.stderr || result.stdout).trim().slice(-2000);
        reject(new HarnessError('COMMAND_FAILED', `${argv.join(' ')}: exit ${signal ?? result.code}: ${said}`));
      }
    });
    // A command that ends before it has read its input is judged by its exit code, not by EPIPE.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}

/** Standard output of a command that has to succeed. */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  return (await runFully(argv, options)).stdout;
}

/** Whether a command ends with 0. */
export async function succeeds(argv: readonly string[], options: RunOptions = {}): Promise<boolean> {
  return (await runFully(argv, { ...options, mayFail: true })).code === 0;
}

export interface WaitOptions {
  deadlineMs: number;
  everyMs?: number;
  /** Added to the error: what to look at, for example the end of a log. */
  context?: () => string;
  signal?: AbortSignal;
}

/**
 * Calls `probe` until it returns something other than undefined or false, and returns that. A probe that throws has
 * not succeeded yet; its last error is in the DEADLINE error.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  options: WaitOptions,
): Promise<T> {
  const started = performance.now();
  let last = '';
  for (;;) {
    options.signal?.throwIfAborted();
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      last = '';
    } catch (error) {
      if (error instanceof HarnessError && error.code === 'PROCESS_ENDED') throw error;
      last = error instanceof Error ? error.message : String(error);
    }
    if (performance.now() - started > options.deadlineMs) {
      const context = options.context?.() ?? '';
      throw new HarnessError(
        'DEADLINE',
        `${what}: not within ${options.deadlineMs} ms${last ? ` (last: ${last})` : ''}${context ? `\n${context}` : ''}`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, options.everyMs ?? 50));
  }
}
