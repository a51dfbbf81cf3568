// Follows the ConfigMap that says for which further service accounts views are kept, through a view of the hub's own: it
// holds without the cloud as well. One that is wrong changes nothing, and neither does one that may not be read.
import { delay, type Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Log } from '../../runtime/log.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { Store, ViewKey } from '../types.ts';
import type { ViewSet } from '../views/view-set.ts';
import type { Watcher } from '../views/audience.ts';
import { isDenial } from '../views/reflector.ts';
import type { View } from '../views/view.ts';
import { defaultRules, parseRules, readRules, type CachingRules } from './caching-rules.ts';
import type { IdentityMetrics } from './metrics.ts';

const configMap = { namespace: 'kube-system', name: 'holdfast-node' } as const;

export const cachingSettingsKey: ViewKey = {
  group: '',
  version: 'v1',
  resource: 'configmaps',
  namespace: configMap.namespace,
  labelSelector: '',
  fieldSelector: `metadata.name=${configMap.name}`,
  encoding: 'json',
};

const recordKey = 'identity/caching-rules';
/** A node that may not read it asks seldom: each of thousands would. */
const forbiddenMs = 600_000;
const retryMs = 5_000;

export interface CachingSettingsParts {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: IdentityMetrics;
}

export class CachingSettings {
  readonly #parts: CachingSettingsParts;
  readonly #listeners = new Set<() => void>();
  #rules: CachingRules = defaultRules;
  #last = '';

  constructor(parts: CachingSettingsParts) {
    this.#parts = parts;
  }

  /** Those in force. */
  get rules(): CachingRules {
    return this.#rules;
  }

  /** Calls back when other rules are in force; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Reads what an earlier process kept. Rejects with StoreReadError. */
  async load(): Promise<void> {
    const value = await this.#parts.store.get(recordKey);
    this.#rules = (value === undefined ? undefined : parseRules(value.toString())) ?? this.#rules;
  }

  /** Follows the ConfigMap until `signal` aborts. */
  async run(views: Pick<ViewSet, 'own' | 'acquire'>, signal: AbortSignal): Promise<void> {
    views.own(cachingSettingsKey);
    while (!signal.aborted) {
      const acquired = await views.acquire(cachingSettingsKey, '', signal);
      if (signal.aborted) return;
      if (acquired.kind === 'view') await this.#follow(acquired.view, signal);
      const forbidden = acquired.kind === 'refused' && isDenial(acquired.reply);
      if (forbidden) this.#forbidden();
      await delay(this.#parts.clock, (forbidden ? forbiddenMs : retryMs) * (0.8 + Math.random() * 0.4), signal);
    }
  }

  /** Until the view ends. */
  async #follow(view: View, outer: AbortSignal): Promise<void> {
    using ending = new LinkedAbort(outer);
    let task: Promise<void> = Promise.resolve();
    const read = (): void => {
      task = task
        .then(() => this.#read(view))
        .catch((error: unknown) => {
          this.#parts.log.warn('the caching settings cannot be read now; the former ones stay', {
            error: String(error),
          });
        });
    };
    const watcher: Watcher = { allowBookmarks: false, deliver: read, end: () => ending.abort() };
    await view.watchAll(watcher, { endMark: false });
    read();
    await untilAborted(ending.signal);
    view.stopWatching(watcher);
    await task;
  }

  async #read(view: View): Promise<void> {
    const item = await view.stored(configMap.namespace, configMap.name);
    // Taken out of service meanwhile: that it has no objects says nothing.
    if (!view.synced) return;
    const seen = item === undefined ? 'absent' : `${item.uid} ${item.resourceVersion}`;
    if (seen === this.#last) return;
    this.#last = seen;
    const { metrics, log } = this.#parts;
    if (item === undefined) {
      metrics.settingsReads.inc({ outcome: 'absent' });
      await this.#apply(defaultRules);
      return;
    }
    const read = readRules(view.wire.decode(view.typeMeta, item.bytes));
    if ('rules' in read) {
      metrics.settingsReads.inc({ outcome: 'applied' });
      await this.#apply(read.rules);
      return;
    }
    metrics.settingsReads.inc({ outcome: 'invalid' });
    log.error('the ConfigMap kube-system/holdfast-node is wrong; the former settings stay', {
      problems: read.problems.join('; '),
    });
  }

  async #apply(rules: CachingRules): Promise<void> {
    const { store, log } = this.#parts;
    const value = JSON.stringify(rules);
    if (value === JSON.stringify(this.#rules)) return;
    this.#rules = rules;
    const { accounts, maxViews, maxBytes } = rules;
    log.info('views are kept for these service accounts', { accounts: accounts.join(), maxViews, maxBytes });
    for (const listener of this.#listeners) listener();
    await store.write([{ type: 'put', key: recordKey, value: Buffer.from(value) }], 'written');
  }

  #forbidden(): void {
    this.#parts.metrics.settingsReads.inc({ outcome: 'forbidden' });
    if (this.#last === 'forbidden') return;
    this.#last = 'forbidden';
    this.#parts.log.warn(
      'the node may not read the ConfigMap kube-system/holdfast-node: views are kept for the default service accounts only; apply config/rbac/node.yaml',
    );
  }
}
