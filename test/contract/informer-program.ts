// The client-go program of informer/, built once per release of client-go, and one run of it.
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { cacheFolder } from '../cluster/binaries.ts';
import { run } from '../cluster/commands.ts';
import { projectRoot } from '../cluster/project-root.ts';

/** What a reflector was told and holds: one for each encoding, of all objects and of those with the labels. */
export interface InformerRecord {
  readonly encoding: 'json' | 'protobuf';
  readonly labels: string;
  readonly lists: number;
  readonly watchLists: number;
  /** How often the whole collection was taken anew; 1 for the first time. */
  readonly replaced: number;
  readonly events: number;
  readonly violations: readonly string[];
  /** `uid@version` by name. */
  readonly objects: Readonly<Record<string, string>>;
}

/** `go.mod` is the release that the project's Kubernetes has; `next.mod` one that begins with a watch by default. */
export type Release = 'go.mod' | 'next.mod';

/** Builds the program if the cache has none of these sources, and returns its file. Needs Go. */
export async function buildInformer(release: Release): Promise<string> {
  const folder = path.join(projectRoot(), 'test', 'contract', 'informer');
  const hash = createHash('sha256').update(release);
  for (const file of readdirSync(folder).sort()) hash.update(file).update(readFileSync(path.join(folder, file)));
  const target = path.join(cacheFolder(), 'bin', `contract-informer-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(target)) return target;
  mkdirSync(path.dirname(target), { recursive: true });
  const temporary = `${target}.building-${process.pid}`;
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
  const argv = ['go', 'build', `-modfile=${release}`, '-trimpath', '-ldflags=-s -w', '-o', temporary, '.'];
  await run(argv, { cwd: folder, env, timeoutMs: 900_000 });
  renameSync(temporary, target);
  return target;
}

export class Informer {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;
  readonly #ended: Promise<void>;
  #complaints = '';

  constructor(file: string, flags: Readonly<Record<string, string>>, watchList: boolean | undefined) {
    const args = Object.entries(flags).map(([flag, value]) => `-${flag}=${value}`);
    const feature = watchList === undefined ? {} : { KUBE_FEATURE_WatchListClient: String(watchList) };
    this.#child = spawn(file, args, { env: { ...process.env, ...feature } });
    this.#child.stderr.on('data', (chunk: Buffer) => (this.#complaints += chunk.toString()));
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => {
      this.#child.on('close', () => resolve());
      this.#child.on('error', () => resolve());
    });
  }

  /** Resolves when all its reflectors have synced. */
  async synced(): Promise<void> {
    const line = await this.#line();
    if (line !== 'synced') throw new Error(`the informer said ${line}: ${this.#complaints}`);
  }

  /** Resolves with what it holds once it has an object of this name everywhere. */
  async finish(name: string): Promise<InformerRecord[]> {
    this.#child.stdin.write(`${name}\n`);
    return JSON.parse(await this.#line()) as InformerRecord[];
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async #line(): Promise<string> {
    const { done, value } = await this.#lines.next();
    if (done === true) throw new Error(`the informer ended: ${this.#complaints}`);
    return value;
  }
}
