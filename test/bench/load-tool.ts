// The clients and the reverse proxy of the benchmark, a Go program in load/: built once, run for each measurement.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { cacheFolder } from '../cluster/binaries.ts';
import { run } from '../cluster/commands.ts';
import { projectRoot } from '../cluster/project-root.ts';
import { Child } from './child.ts';
import type { Pinning } from './pinning.ts';
import type { ClientFiles, Way } from './ways.ts';

export type Encoding = 'json' | 'protobuf';
export type Flags = Readonly<Record<string, string | number>>;

export interface Percentiles {
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** Builds the program if the cache has none of these sources, and returns its file. Needs Go. */
export async function buildLoadTool(say: (line: string) => void): Promise<string> {
  const folder = path.join(projectRoot(), 'test', 'bench', 'load');
  const hash = createHash('sha256');
  for (const file of readdirSync(folder).sort()) hash.update(file).update(readFileSync(path.join(folder, file)));
  const target = path.join(cacheFolder(), 'bin', `bench-load-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(target)) return target;
  say('building the clients and the reverse proxy (test/bench/load) with Go, a few seconds …');
  mkdirSync(path.dirname(target), { recursive: true });
  const temporary = `${target}.building-${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: '0' };
  await run(['go', 'build', '-trimpath', '-o', temporary, '.'], { cwd: folder, env, timeoutMs: 300_000 });
  renameSync(temporary, target);
  return target;
}

export class LoadTool {
  readonly #file: string;
  readonly #pinning: Pinning;
  readonly #signal: AbortSignal;

  constructor(parts: { file: string; pinning: Pinning; signal: AbortSignal }) {
    this.#file = parts.file;
    this.#pinning = parts.pinning;
    this.#signal = parts.signal;
  }

  /** A client that is connected and warmed up, and waits for `go`. */
  async prepare(command: string, way: Way, client: ClientFiles, flags: Flags): Promise<PreparedLoad> {
    const child = this.#start(command, way, client, flags);
    const line = await child.line();
    if (line !== 'ready') throw new Error(`load ${command} said ${line}`);
    return new PreparedLoad(child);
  }

  /** A command that does its work without being told to begin. */
  async run<T>(command: string, way: Way, client: ClientFiles, flags: Flags): Promise<T> {
    await using child = this.#start(command, way, client, flags);
    return JSON.parse(await child.line()) as T;
  }

  /** Go's reverse proxy on processor 0, with one thread of Go code; resolves with its port. */
  async startProxy(way: Way, client: ClientFiles, serving: ClientFiles): Promise<{ child: Child; port: number }> {
    const flags = { 'serving-cert': serving.certificateFile, 'serving-key': serving.keyFile };
    const argv = [...this.#pinning.measured, this.#file, 'proxy', ...commandLine(way, client, flags)];
    const env = { ...process.env, GOMAXPROCS: '1' };
    const child = new Child({ name: 'load proxy', argv, env, signal: this.#signal });
    return { child, port: Number(await child.line()) };
  }

  #start(command: string, way: Way, client: ClientFiles, flags: Flags): Child {
    const argv = [...this.#pinning.load, this.#file, command, ...commandLine(way, client, flags)];
    return new Child({ name: `load ${command} (${way.variant})`, argv, signal: this.#signal });
  }
}

export class PreparedLoad implements AsyncDisposable {
  readonly #child: Child;

  constructor(child: Child) {
    this.#child = child;
  }

  go(): void {
    this.#child.say('go');
  }

  /** For commands that go on until they are told to end. */
  finish(): void {
    this.#child.say('end');
  }

  /** What it measured; resolves when its work is done. */
  async result<T>(): Promise<T> {
    return JSON.parse(await this.#child.line()) as T;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stop();
  }
}

function commandLine(way: Way, client: ClientFiles, flags: Flags): string[] {
  const all = { server: way.url, ca: way.caFile, cert: client.certificateFile, key: client.keyFile, ...flags };
  return Object.entries(all).map(([flag, value]) => `-${flag}=${value}`);
}
