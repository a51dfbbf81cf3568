// The recent events of a view, for clients that resume. Positions are resourceVersions of the view; changes of our own
// (overlay, filters) have none, so they stand at the version that the view had and are replayed to whoever resumes there.
import { compareResourceVersions } from '../../kube/resource-version.ts';

export interface LogEntry {
  /** The view's version after this change. */
  readonly resourceVersion: string;
  /** True for a change of our own, which the version does not tell apart from the state before it. */
  readonly local: boolean;
  readonly frame: Buffer;
}

/** `everything`: what was missed is unknown, but a replay of the whole view at this version makes up for it. */
export type Resume =
  { readonly kind: 'entries'; readonly entries: readonly LogEntry[] } | { readonly kind: 'everything' | 'gone' };

export class EventLog {
  readonly #maxCount: number;
  readonly #maxBytes: number;
  #entries: LogEntry[] = [];
  #bytes = 0;
  /** Everything after this version is in the log. */
  #floor: string;
  /** A local change at the floor itself is no longer in the log. */
  #floorHadLocalChange: boolean;
  /** Versions strictly between these cannot be resumed: a difference was delivered there in an order of our own. */
  #gaps: { after: string; before: string }[] = [];

  constructor(floor: string, settings: { maxCount: number; maxBytes: number }, localChangeAtFloor = false) {
    this.#floor = floor;
    this.#floorHadLocalChange = localChangeAtFloor;
    this.#maxCount = settings.maxCount;
    this.#maxBytes = settings.maxBytes;
  }

  append(entry: LogEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.frame.length;
    let drop = 0;
    while (this.#entries.length - drop > this.#maxCount || this.#bytes > this.#maxBytes) {
      const oldest = this.#entries[drop];
      if (oldest === undefined) break;
      this.#bytes -= oldest.frame.length;
      this.#floorHadLocalChange = oldest.local || (this.#floorHadLocalChange && oldest.resourceVersion === this.#floor);
      this.#floor = oldest.resourceVersion;
      drop += 1;
    }
    if (drop === 0) return;
    this.#entries.splice(0, drop);
    this.#gaps = this.#gaps.filter((gap) => compareResourceVersions(gap.before, this.#floor) > 0);
  }

  /** Says that what lies between two versions was delivered as a difference: resuming inside it is not possible. */
  appendGap(after: string, before: string): void {
    this.#gaps.push({ after, before });
  }

  /** What a client that has seen the view at `resourceVersion` has missed. */
  resume(resourceVersion: string): Resume {
    const toFloor = compareResourceVersions(resourceVersion, this.#floor);
    if (toFloor < 0) return { kind: 'gone' };
    for (const gap of this.#gaps) {
      if (
        compareResourceVersions(resourceVersion, gap.after) > 0 &&
        compareResourceVersions(resourceVersion, gap.before) < 0
      )
        return { kind: 'gone' };
    }
    if (toFloor === 0 && this.#floorHadLocalChange) return { kind: 'everything' };
    const from = this.#entries.findIndex((entry) => {
      const order = compareResourceVersions(entry.resourceVersion, resourceVersion);
      return order > 0 || (order === 0 && entry.local);
    });
    return { kind: 'entries', entries: from < 0 ? [] : this.#entries.slice(from) };
  }
}
