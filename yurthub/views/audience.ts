// Those who watch a view, and what they were told lately, for those who come back.
import { EventLog, type LogEntry, type Resume } from './event-log.ts';
import { LateWatcher } from './late-watcher.ts';

/** One local client that watches. None of these may throw. */
export interface Watcher {
  readonly allowBookmarks: boolean;
  /** `local`: a change of our own, which the version of the object does not tell. */
  deliver(frame: Buffer, local?: boolean): void;
  /** The watch cannot go on (the view was dropped): the client has to list again. */
  end(): void;
}

export class Audience {
  readonly #limits: { maxCount: number; maxBytes: number };
  readonly #watchers = new Set<Watcher>();
  readonly #followers = new Set<Watcher>();
  #log: EventLog;

  constructor(settings: { readonly logMaxCount: number; readonly logMaxBytes: number }) {
    this.#limits = { maxCount: settings.logMaxCount, maxBytes: settings.logMaxBytes };
    this.#log = new EventLog('', this.#limits);
  }

  /** Clients that watch. */
  get size(): number {
    return this.#watchers.size;
  }
  /** Whether a part of the hub itself watches. */
  get followed(): boolean {
    return this.#followers.size > 0;
  }

  /** Nothing that was told before this version can be resumed. */
  restart(resourceVersion: string, localChangeThere: boolean): void {
    this.#log = new EventLog(resourceVersion, this.#limits, localChangeThere);
  }

  /** What a client that has seen the view at `resourceVersion` has missed. */
  missedSince(resourceVersion: string): Resume {
    return this.#log.resume(resourceVersion);
  }

  /** What is told next is a difference: resuming between these versions is not possible. */
  gap(after: string, before: string): void {
    this.#log.appendGap(after, before);
  }

  tell(entry: LogEntry): void {
    this.#log.append(entry);
    for (const watcher of this.#watchers) {
      if (entry.local && watcher instanceof LateWatcher && !watcher.reached) watcher.missedLocalChange = true;
      watcher.deliver(entry.frame, entry.local);
    }
    for (const follower of this.#followers) follower.deliver(entry.frame);
  }

  /** Those to whom a change of our own was not told because the view was behind them, and is not any more. Once each. */
  owedReplay(): Watcher[] {
    const owed: Watcher[] = [];
    for (const watcher of this.#watchers) {
      if (!(watcher instanceof LateWatcher) || !watcher.missedLocalChange || !watcher.reached) continue;
      watcher.missedLocalChange = false;
      owed.push(watcher);
    }
    return owed;
  }

  /** `frame` is called at most once, and only if somebody wants bookmarks. */
  tellBookmark(frame: () => Buffer): void {
    let bookmark: Buffer | undefined;
    for (const watcher of this.#watchers) {
      if (!watcher.allowBookmarks) continue;
      bookmark ??= frame();
      watcher.deliver(bookmark);
    }
  }

  add(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  addFollower(follower: Watcher): void {
    this.#followers.add(follower);
  }

  remove(watcher: Watcher): void {
    if (this.#watchers.delete(watcher)) return;
    for (const wrapped of this.#watchers)
      if (wrapped instanceof LateWatcher && wrapped.inner === watcher) this.#watchers.delete(wrapped);
  }

  /** Ends all watches cleanly. */
  end(): void {
    for (const watcher of [...this.#watchers, ...this.#followers]) watcher.end();
    this.#watchers.clear();
    this.#followers.clear();
  }
}
