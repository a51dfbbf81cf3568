// A process of the benchmark: lines of text in both directions, and an end that is waited for.
import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';

export interface ChildOptions {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

const keptStderrCharacters = 4000;
const graceMs = 10_000;

export class Child implements AsyncDisposable {
  readonly #name: string;
  readonly #process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<string>;
  #stderr = '';
  #ended = false;

  /** Starts the process. Aborting the signal kills it; whoever starts it has to dispose of it all the same. */
  constructor(options: ChildOptions) {
    options.signal.throwIfAborted();
    this.#name = options.name;
    const [file = '', ...args] = options.argv;
    this.#process = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], env: options.env ?? process.env });
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
    this.#process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-keptStderrCharacters);
    });
    this.#process.stdin.on('error', () => undefined); // a process that ended is judged by how it ended
    const kill = (): void => void this.#process.kill('SIGKILL');
    options.signal.addEventListener('abort', kill, { once: true });
    this.#exit = new Promise((resolve) => {
      const end = (how: string): void => {
        this.#ended = true;
        options.signal.removeEventListener('abort', kill);
        resolve(how);
      };
      this.#process.once('error', (error) => end(error.message));
      this.#process.once('close', (code, signal) => end(`exit ${signal ?? code}`));
    });
  }

  get pid(): number {
    if (this.#process.pid === undefined) throw new Error(`${this.#name} could not be started`);
    return this.#process.pid;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The next line of its output. Rejects, with what it said on standard error, when it ends without one. */
  async line(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return value;
    throw new Error(`${this.#name}: ${await this.#exit}\n${this.#stderr}`);
  }

  say(line: string): void {
    this.#process.stdin.write(`${line}\n`);
  }

  /** Asks it to end, kills it after ten seconds, returns when it is gone. */
  async stop(how: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.#ended) return;
    this.#process.stdin.end();
    this.#process.kill(how);
    const killer = setTimeout(() => this.#process.kill('SIGKILL'), graceMs);
    this.#process.stdout.resume(); // 'close' comes after the last of its output
    await this.#exit;
    clearTimeout(killer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Resolves with how it ended. */
  async exit(): Promise<string> {
    return this.#exit;
  }

  async spawned(): Promise<void> {
    if (this.#process.pid === undefined) await once(this.#process, 'spawn');
  }
}
