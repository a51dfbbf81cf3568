// `npm start -- --once`: plays an outage against the hub as a client sees it, and judges what it saw.
import { delay } from '../runtime/clock.ts';
import type { Clock } from '../runtime/clock.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { DemoCluster } from './demo-cluster.ts';
import { PlainClient } from './plain-client.ts';
import type { PlainEvent, PlainTarget, PlainWatch } from './plain-client.ts';

export interface ScriptParts {
  readonly cluster: DemoCluster;
  readonly clock: Clock;
  readonly out: (line: string) => void;
  readonly cut: () => Promise<void>;
  readonly heal: () => Promise<void>;
  readonly cloudReachable: () => boolean;
}

/** How long a step may take before it counts as failed: three times what design.md promises, and some for a busy machine. */
const stepMs = 15_000;

/** True when every check held. */
export async function playScript(parts: ScriptParts, hub: PlainTarget, signal: AbortSignal): Promise<boolean> {
  const script = new Script(parts, signal);
  const client = new PlainClient(hub);
  try {
    await parts.cluster.prepare();
    await script.play(client);
  } finally {
    client.close();
    // Without the cloud nothing can be cleaned up in it.
    await parts.heal();
    await parts.cluster.cleanUp();
  }
  parts.out(`${script.passed} passed, ${script.failed} failed`);
  return script.failed === 0;
}

class Script {
  readonly #parts: ScriptParts;
  readonly #signal: AbortSignal;
  /** How many of the watch's events have been judged. */
  #seen = 0;
  passed = 0;
  failed = 0;

  constructor(parts: ScriptParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  async play(client: PlainClient): Promise<void> {
    const { cluster, out, cut, heal } = this.#parts;
    const { namespace, watched, configMap } = cluster;
    const collection = `/api/v1/namespaces/${namespace}/${watched}`;
    const map = `/api/v1/namespaces/${namespace}/configmaps/${configMap}`;

    out(`— The cloud is there: a client lists and watches ${watched} through the hub.`);
    const reached = await this.#eventually(() => this.#parts.cloudReachable());
    this.#check('the hub reaches the cloud', reached.held, `after ${reached.tookMs} ms`);
    const before = await this.#read(client, collection);
    this.#check(`it lists ${watched}`, namesOf(before.object).length > 0, listed(before));
    const value = await this.#read(client, map);
    this.#check(`it reads config map ${configMap}`, value.statusCode === 200, greetingOf(value.object));
    const watch = await client.watch(
      `${collection}?watch=true&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=${versionOf(before.object)}`,
    );
    await cluster.create('first');
    await this.#sees(watch, 'a change made in the cloud', ['ADDED first']);

    out('— The cloud is cut off: its answers are swallowed, as by a broken link.');
    await cut();
    const offline = await this.#read(client, collection);
    const known = namesOf(before.object);
    this.#check(
      `the client still lists ${watched}`,
      offline.statusCode === 200 && [...known, 'first'].every((name) => namesOf(offline.object).includes(name)),
      listed(offline),
    );
    const noticed = await this.#eventually(() => !this.#parts.cloudReachable());
    this.#check('the hub has noticed by then', noticed.held, `${noticed.tookMs} ms later`);
    const again = await this.#read(client, map);
    this.#check(
      `it still reads config map ${configMap}`,
      again.statusCode === 200 && greetingOf(again.object) === greetingOf(value.object),
      greetingOf(again.object),
    );

    out('— Meanwhile in the cloud: second is created, first is changed, second is deleted, third is created.');
    const seenBefore = shown(watch.events).length;
    await cluster.create('second');
    await cluster.modify('first');
    await cluster.delete('second');
    await cluster.create('third');
    this.#check(
      'the watch stays open and tells of nothing that cannot be known',
      watch.isOpen && shown(watch.events).length === seenBefore,
      'no event',
    );

    out('— The cloud is back.');
    const requests = client.requestCount;
    await heal();
    await this.#sees(watch, 'what it missed, in order', [
      'ADDED second',
      'MODIFIED first',
      'DELETED second',
      'ADDED third',
    ]);
    this.#check(
      'on the same watch, without another list',
      watch.isOpen && client.requestCount === requests && watch.events.every(({ type }) => type !== 'ERROR'),
      `${watch.events.length} events on one stream`,
    );
    await cluster.delete('third');
    await this.#sees(watch, 'and the next change', ['DELETED third']);
    await watch.close();
  }

  /** The watch's next events, apart from bookmarks and other names than the script's, are `expected`. */
  async #sees(watch: PlainWatch, what: string, expected: readonly string[]): Promise<void> {
    const from = this.#seen;
    const deadline = AbortSignal.timeout(stepMs);
    const startedMs = this.#parts.clock.monotonicMs();
    await watch.until((events) => shown(events).length >= from + expected.length, deadline);
    const seen = shown(watch.events).slice(from, from + expected.length);
    this.#seen += seen.length;
    const tookMs = Math.round(this.#parts.clock.monotonicMs() - startedMs);
    this.#check(
      `the watch shows ${what}`,
      seen.join() === expected.join(),
      `${seen.join(', ') || 'nothing'} (after ${tookMs} ms)`,
    );
  }

  async #read(client: PlainClient, path: string): Promise<{ statusCode: number; object: KubeObject; tookMs: number }> {
    const startedMs = this.#parts.clock.monotonicMs();
    const { statusCode, object } = await client.request(path, {}, AbortSignal.timeout(stepMs));
    return { statusCode, object, tookMs: Math.round(this.#parts.clock.monotonicMs() - startedMs) };
  }

  async #eventually(condition: () => boolean): Promise<{ held: boolean; tookMs: number }> {
    const { clock } = this.#parts;
    const startedMs = clock.monotonicMs();
    const tookMs = (): number => Math.round(clock.monotonicMs() - startedMs);
    while (!condition()) {
      if (this.#signal.aborted || tookMs() > stepMs) return { held: false, tookMs: tookMs() };
      await delay(clock, 20, this.#signal);
    }
    return { held: true, tookMs: tookMs() };
  }

  #check(what: string, held: boolean, seen: string): void {
    if (held) this.passed += 1;
    else this.failed += 1;
    this.#parts.out(`  ${held ? 'ok  ' : 'FAIL'} ${what}: ${seen}`);
  }
}

const scriptNames: readonly string[] = ['first', 'second', 'third'];

/**
 * Events of the script's own objects, as in 'ADDED first'; the cluster may have other things to tell. An event without
 * a new version is the hub's own: it shows a pod anew where it looks different offline (its image pull policy).
 */
function shown(events: readonly PlainEvent[]): string[] {
  const versions = new Map<string, string>();
  const result: string[] = [];
  for (const { type, object } of events) {
    const name = nameOf(object);
    const version = versionOf(object);
    if (type === 'BOOKMARK' || !scriptNames.includes(name) || versions.get(name) === version) continue;
    versions.set(name, version);
    result.push(`${type} ${name}`);
  }
  return result;
}

function nameOf(object: KubeObject | undefined): string {
  return String((object?.['metadata'] as KubeObject | undefined)?.['name']);
}

function namesOf(list: KubeObject): string[] {
  const items = Array.isArray(list['items']) ? (list['items'] as { metadata: { name: string } }[]) : [];
  return items.map(({ metadata }) => metadata.name);
}

/** What a list showed, or what the hub said instead. */
function listed({ statusCode, object, tookMs }: { statusCode: number; object: KubeObject; tookMs: number }): string {
  const what = statusCode === 200 ? namesOf(object).join(', ') : `${statusCode} ${fieldText(object, 'message')}`;
  return `${what} (in ${tookMs} ms)`;
}

function fieldText(object: KubeObject, field: string): string {
  const value = object[field];
  return typeof value === 'string' ? value : '';
}

function versionOf(list: KubeObject): string {
  return String((list['metadata'] as KubeObject | undefined)?.['resourceVersion']);
}

function greetingOf(map: KubeObject): string {
  return String((map['data'] as KubeObject | undefined)?.['greeting']);
}
