// A watch of part of a view, or in another form: what a view tells its watchers, turned into what the client has to hear.
// An object that comes to be selected is ADDED, one that is no longer selected is DELETED.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { WatchEventType, WatchFrame } from '../../kube/wire.ts';
import type { AnswerForm } from './answer-form.ts';
import type { Watcher } from './audience.ts';
import { selects, type Selected } from './selection.ts';
import { memberKey } from './view-key.ts';
import type { View } from './view.ts';

export class SelectedWatcher implements Watcher {
  readonly #inner: Watcher;
  readonly #view: View;
  readonly #form: AnswerForm;
  readonly #rest: Selected | undefined;
  /** Keys of the objects that are selected at present; unused when all are. */
  readonly #selected = new Set<string>();
  /** Events up to this version are known to the client, and only told to this watcher. */
  #knownUpTo = '';

  /** `rest`: what has to be checked of each object; undefined when the view is all that was asked for. */
  constructor(inner: Watcher, view: View, form: AnswerForm, rest: Selected | undefined) {
    this.#inner = inner;
    this.#view = view;
    this.#form = form;
    this.#rest = rest;
  }

  get allowBookmarks(): boolean {
    return this.#inner.allowBookmarks;
  }

  /**
   * Starts at a version that the client has seen. False when what it missed is not known: of a part of a view that is all
   * but its present state, since the log does not tell what was selected before.
   */
  async watchFrom(resourceVersion: string): Promise<boolean> {
    if (this.#rest === undefined) return await this.#view.watchFrom(resourceVersion, this);
    const now = await this.#view.snapshot();
    if (compareResourceVersions(resourceVersion, now.resourceVersion) < 0) return false;
    for (const bytes of now.items) {
      const { namespace, name } = this.#view.wire.meta(bytes);
      if (this.#isSelected(bytes)) this.#selected.add(memberKey(namespace, name));
    }
    this.#knownUpTo = resourceVersion;
    return await this.#view.watchFrom(now.resourceVersion, this);
  }

  deliver(frame: Buffer, local = false): void {
    const [event] = this.#view.wire.watchScanner({ maxFrameBytes: frame.length }).push(frame);
    if (event === undefined) return;
    const type = this.#typeFor(event);
    const isKnown = compareResourceVersions(event.item.resourceVersion, this.#knownUpTo) <= 0 && this.#knownUpTo !== '';
    // A change of our own is at a version that is known, and is not.
    if (type !== undefined && (!isKnown || local || type === 'BOOKMARK'))
      this.#inner.deliver(this.#form.event(type, event));
  }

  end(): void {
    this.#inner.end();
  }

  /** Undefined for an event that does not concern the client. */
  #typeFor({ type, item }: WatchFrame): WatchEventType | undefined {
    if (this.#rest === undefined || type === 'BOOKMARK' || type === 'ERROR') return type;
    const key = memberKey(item.namespace, item.name);
    const was = this.#selected.has(key);
    const is = type !== 'DELETED' && this.#isSelected(item.bytes);
    if (is) this.#selected.add(key);
    else this.#selected.delete(key);
    if (is) return was ? 'MODIFIED' : 'ADDED';
    return was ? 'DELETED' : undefined;
  }

  #isSelected(bytes: Buffer): boolean {
    return this.#rest === undefined || selects(this.#rest, this.#view.wire, this.#view.typeMeta, bytes);
  }
}
