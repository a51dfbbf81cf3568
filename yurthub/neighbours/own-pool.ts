// The pool of this node: its name by the label of its own Node object, its members by the EndpointSlices that the controllers
// publish for it. Both are views of the hub, so that they are known without the cloud and after a restart.
import type { Clock } from '../../runtime/clock.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Log } from '../../runtime/log.ts';
import { untilAborted } from '../../runtime/until-aborted.ts';
import type { KubeObject } from '../../kube/wire.ts';
import type { ViewKey } from '../types.ts';
import { ViewFollower, type FollowerSink } from '../views/follower.ts';
import type { ViewSet } from '../views/view-set.ts';
import type { OwnPool } from './neighbours.ts';

const poolLabel = 'apps.openyurt.io/nodepool';
const poolsNamespace = 'holdfast-pools';
const sliceType = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };

export interface OwnPoolParts {
  readonly views: Pick<ViewSet, 'has' | 'kept' | 'acquire' | 'own' | 'disown'>;
  readonly clock: Clock;
  readonly log: Log;
}

/** As the kubelet asks for its own Node, so that it is the kubelet's view. */
function nodeKey(nodeName: string): ViewKey {
  const selectors = { labelSelector: '', fieldSelector: `metadata.name=${nodeName}` };
  return { group: '', version: 'v1', resource: 'nodes', namespace: '', ...selectors, encoding: 'protobuf' };
}

function slicesKey(pool: string): ViewKey {
  const selectors = { labelSelector: `holdfast.dev/pool=${pool}`, fieldSelector: '' };
  return {
    group: 'discovery.k8s.io',
    version: 'v1',
    resource: 'endpointslices',
    namespace: poolsNamespace,
    ...selectors,
    encoding: 'protobuf',
  };
}

export class OwnPoolFeed {
  readonly #parts: OwnPoolParts;
  readonly #nodeName: string;
  readonly #listeners = new Set<() => void>();
  #name: string | undefined;
  #slices = new Map<string, KubeObject>();
  /** The slices are those of `#name`. */
  #settled = false;
  #renamed = new AbortController();

  constructor(parts: OwnPoolParts, nodeName: string) {
    this.#parts = parts;
    this.#nodeName = nodeName;
  }

  /** Undefined until the members of the pool are known as well. */
  get current(): OwnPool | undefined {
    if (this.#name === undefined || !this.#settled) return undefined;
    return { name: this.#name, slices: [...this.#slices.values()] };
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Follows both until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const node = this.#follower(nodeKey(this.#nodeName), this.#nodeSink());
    const following = node.run(signal);
    while (!signal.aborted) {
      using renamed = new LinkedAbort(signal);
      this.#renamed.signal.addEventListener('abort', () => renamed.abort(), { once: true });
      if (this.#name === undefined) await untilAborted(renamed.signal);
      else await this.#followSlices(this.#name, renamed.signal);
      if (!signal.aborted) this.#renamed = new AbortController();
    }
    await following;
  }

  async #followSlices(pool: string, signal: AbortSignal): Promise<void> {
    const key = slicesKey(pool);
    this.#parts.views.own(key);
    try {
      await this.#follower(key, this.#slicesSink()).run(signal);
    } finally {
      this.#parts.views.disown(key);
    }
  }

  #follower(key: ViewKey, sink: FollowerSink): ViewFollower {
    const { views, clock, log } = this.#parts;
    const follower = new ViewFollower(key, { views, clock, log, how: 'make', sink });
    follower.want();
    return follower;
  }

  #nodeSink(): FollowerSink {
    return {
      put: (wire, { name, bytes }) => {
        if (name === this.#nodeName) this.#setName(wire.labels(bytes)[poolLabel]);
      },
      // A Node that is deleted is made again by its kubelet, with or without the label.
      remove: () => undefined,
      settled: () => undefined,
    };
  }

  #setName(label: string | undefined): void {
    const name = label === '' ? undefined : label;
    if (name === this.#name) return;
    this.#parts.log.info('the pool of this node', { pool: name, before: this.#name });
    this.#name = name;
    this.#slices = new Map();
    this.#settled = false;
    this.#renamed.abort();
    this.#tell();
  }

  #slicesSink(): FollowerSink {
    const slices = this.#slices;
    return {
      put: (wire, { name, bytes }) => void slices.set(name, wire.decode(sliceType, bytes)),
      remove: (_namespace, name) => void slices.delete(name),
      settled: () => {
        // Of the pool before: it has been told to end.
        if (slices !== this.#slices) return;
        this.#settled = true;
        this.#tell();
      },
    };
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
