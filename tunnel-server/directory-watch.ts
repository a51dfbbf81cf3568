// Keeps the directory in step with the cluster: list in pages, then watch, again from the list when the watch cannot go on.
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { Backoff } from '../runtime/backoff.ts';
import type { Directory, NodeObject, PodObject } from './directory.ts';
import { ApiRequestError } from '../tunnel/errors.ts';
import type { KubeApi } from '../tunnel/kube-api.ts';

export interface DirectoryWatchParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly api: KubeApi;
  readonly directory: Directory;
  readonly random: () => number;
  /** After every list and every change of a node. */
  readonly changed: () => void;
  /** A node was deleted from the cluster. */
  readonly nodeGone: (name: string) => void;
}

/** One collection, and what to do with its objects. */
interface Collection {
  readonly path: string;
  set(object: unknown): void;
  remove(object: unknown): void;
  /** All objects of a list have been set; what was known before and is not among them is gone. */
  listed(objects: readonly unknown[]): void;
}

interface ListPage {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: readonly unknown[];
}

const pageSize = 500;
const backoff = { firstMs: 500, longestMs: 15_000 };

export class DirectoryWatch {
  readonly #parts: DirectoryWatchParts;

  constructor(parts: DirectoryWatchParts) {
    this.#parts = parts;
  }

  /** Until `signal` aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    // Nodes first: which pod addresses count depends on them.
    const synced = Promise.withResolvers<void>();
    const nodes = this.#follow(this.#nodes(synced.resolve), signal).finally(() => synced.resolve());
    await synced.promise;
    await Promise.all([nodes, this.#follow(this.#pods(), signal)]);
  }

  #nodes(synced: () => void): Collection {
    const { directory, changed, nodeGone } = this.#parts;
    const remove = (name: string): void => {
      directory.removeNode(name);
      nodeGone(name);
    };
    return {
      path: '/api/v1/nodes',
      set: (object) => {
        directory.setNode(object as NodeObject);
        changed();
      },
      remove: (object) => {
        remove((object as NodeObject).metadata.name);
        changed();
      },
      listed: (objects) => {
        const present = new Set(objects.map((object) => (object as NodeObject).metadata.name));
        for (const name of directory.nodeNames()) if (!present.has(name)) remove(name);
        directory.nodesSynced = true;
        synced();
        changed();
      },
    };
  }

  #pods(): Collection {
    const { directory, changed } = this.#parts;
    const uid = (object: unknown): string => (object as PodObject).metadata.uid;
    return {
      path: '/api/v1/pods',
      set: (object) => directory.setPod(object as PodObject),
      remove: (object) => directory.removePod(uid(object)),
      listed: (objects) => {
        const present = new Set(objects.map(uid));
        for (const known of directory.podUids()) if (!present.has(known)) directory.removePod(known);
        directory.podsSynced = true;
        changed();
      },
    };
  }

  async #follow(collection: Collection, signal: AbortSignal): Promise<void> {
    const { log, clock, random } = this.#parts;
    const pause = new Backoff(backoff, random);
    let problemBefore = '';
    let version: string | undefined;
    while (!signal.aborted) {
      try {
        version ??= await this.#list(collection, signal);
        for await (const event of this.#parts.api.watch(watchPath(collection.path, version), signal)) {
          pause.reset();
          problemBefore = '';
          if (event.type === 'ERROR') {
            // 410 Gone above all: what was missed has to be listed.
            version = undefined;
            break;
          }
          version = versionOf(event.object) ?? version;
          if (event.type === 'ADDED' || event.type === 'MODIFIED') collection.set(event.object);
          else if (event.type === 'DELETED') collection.remove(event.object);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof ApiRequestError) version = undefined;
        const problem = (error as Error).message;
        if (problem !== problemBefore)
          log.warn('the cluster cannot be watched', { collection: collection.path, problem });
        problemBefore = problem;
      }
      // Also after a watch that ended well: one that ends at once must not become a storm.
      if (!signal.aborted) await delay(clock, pause.nextMs(), signal);
    }
  }

  async #list(collection: Collection, signal: AbortSignal): Promise<string> {
    const objects: unknown[] = [];
    let next = '';
    for (;;) {
      const query = `?limit=${pageSize}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`;
      const page = (await this.#parts.api.request('GET', `${collection.path}${query}`, undefined, signal)) as ListPage;
      for (const item of page.items) {
        collection.set(item);
        objects.push({ metadata: (item as NodeObject).metadata });
      }
      next = page.metadata.continue ?? '';
      if (next === '') {
        collection.listed(objects);
        return page.metadata.resourceVersion;
      }
    }
  }
}

function watchPath(path: string, version: string): string {
  return `${path}?watch=true&allowWatchBookmarks=true&resourceVersion=${encodeURIComponent(version)}`;
}

function versionOf(object: unknown): string | undefined {
  return (object as { metadata?: { resourceVersion?: string } } | undefined)?.metadata?.resourceVersion;
}
