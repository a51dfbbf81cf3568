// Names of edge nodes in a hosts file: kube-apiserver looks the name of `nodes/NAME/proxy` up on its own host before it sends
// the CONNECT, which then carries the name all the same. Only the lines between two marks are ever touched.
import { open } from 'node:fs/promises';
import type { Log } from '../runtime/log.ts';

const begin = '# BEGIN holdfast tunnel-server: managed, do not edit';
const end = '# END holdfast tunnel-server';
/** For nodes without an address of their own: any address will do (192.0.2.0/24 is never routed, RFC 5737). */
const placeholder = '192.0.2.1';

export interface HostsEntry {
  readonly address: string | undefined;
  readonly names: readonly string[];
}

/** The text with the block replaced, or without one when there are no entries. Names that stand elsewhere are left out. */
export function withBlock(text: string, entries: readonly HostsEntry[]): string {
  const lines = text.split('\n');
  const from = lines.indexOf(begin);
  const to = lines.indexOf(end, from);
  const rest = from === -1 || to === -1 ? lines : [...lines.slice(0, from), ...lines.slice(to + 1)];
  const taken = new Set(rest.flatMap((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1)));
  const block: string[] = [];
  for (const { address = placeholder, names } of entries) {
    const free = names.filter((name) => /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) && !taken.has(name));
    for (const name of free) taken.add(name);
    if (free.length > 0) block.push(`${address}\t${free.join(' ')}`);
  }
  const plain = rest.join('\n').replace(/\n+$/, '');
  const kept = plain === '' ? '' : `${plain}\n`;
  return block.length === 0 ? kept : `${kept}${begin}\n${block.join('\n')}\n${end}\n`;
}

export class HostsFile {
  readonly #log: Log;
  readonly #path: string;
  #wanted = '';
  #entries: readonly HostsEntry[] = [];
  #writing: Promise<void> | undefined;

  constructor({ log }: { log: Log }, path: string) {
    this.#log = log;
    this.#path = path;
  }

  /** Resolves when the newest entries are written, or could not be: a failure is logged. */
  set(entries: readonly HostsEntry[]): Promise<void> {
    this.#entries = entries;
    this.#wanted = JSON.stringify(entries);
    this.#writing ??= this.#write().finally(() => (this.#writing = undefined));
    return this.#writing;
  }

  /** Takes the block out. */
  remove(): Promise<void> {
    return this.set([]);
  }

  async #write(): Promise<void> {
    let written: string | undefined;
    while (written !== this.#wanted) {
      written = this.#wanted;
      try {
        await this.#replace(this.#entries);
      } catch (error) {
        this.#log.warn('the hosts file cannot be written', { file: this.#path, problem: (error as Error).message });
      }
    }
  }

  /** In place: the file may be a bind mount of a pod, which a rename would leave behind. One write, then the cut. */
  async #replace(entries: readonly HostsEntry[]): Promise<void> {
    const file = await open(this.#path, 'r+');
    try {
      const before = await file.readFile('utf8');
      const after = withBlock(before, entries);
      if (after === before) return;
      const bytes = Buffer.from(after);
      await file.write(bytes, 0, bytes.length, 0);
      await file.truncate(bytes.length);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}
