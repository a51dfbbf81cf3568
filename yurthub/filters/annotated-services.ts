// Which Services ask for what, by annotations: kept from the kubelet's own view of Services, so that knowing it costs
// nothing over the link. That view has no headless Services: their names stand for each of their pods, wherever it is.
import type { Wire } from '../../kube/wire.ts';
import { annotationsOf, entriesOf, mayHave } from './annotations.ts';
import {
  reachOfKey,
  superEdgeTopologyAnnotation,
  topologyAnnotation,
  type Reach,
  type ServiceTopology,
} from './service-topology.ts';

const serviceType = { apiVersion: 'v1', kind: 'Service' };

export class AnnotatedServices implements ServiceTopology {
  readonly #reaches = new Map<string, readonly Reach[]>();

  get asked(): boolean {
    return this.#reaches.size > 0;
  }

  reachesOf(namespace: string, service: string): readonly Reach[] | undefined {
    return this.#reaches.get(`${namespace}/${service}`);
  }

  /** Of those that ask for something, without their namespaces. */
  names(): string[] {
    return [...this.#reaches.keys()].map((key) => key.slice(key.indexOf('/') + 1));
  }

  /** True when it asks for something else than before. */
  put(wire: Wire, namespace: string, service: string, bytes: Buffer): boolean {
    return this.#set(
      `${namespace}/${service}`,
      mayHave(bytes, superEdgeTopologyAnnotation) ? reachesIn(wire, bytes) : [],
    );
  }

  /** As above. */
  remove(namespace: string, service: string): boolean {
    return this.#set(`${namespace}/${service}`, []);
  }

  #set(key: string, reaches: readonly Reach[]): boolean {
    const before = this.#reaches.get(key) ?? [];
    if (reaches.length === 0) this.#reaches.delete(key);
    else this.#reaches.set(key, reaches);
    return before.join() !== reaches.join();
  }
}

function reachesIn(wire: Wire, bytes: Buffer): Reach[] {
  const annotations = annotationsOf(wire.decode(serviceType, bytes));
  const own = entriesOf(annotations[topologyAnnotation]).flatMap((key) => reachOfKey[key] ?? []);
  if (annotations[topologyAnnotation] !== undefined) return own;
  return textsOf(annotations[superEdgeTopologyAnnotation]).map((key) => reachOfKey[key] ?? 'pool');
}

/** The texts of a JSON list; none when it is none. */
function textsOf(annotation: unknown): string[] {
  try {
    const value: unknown = typeof annotation === 'string' ? JSON.parse(annotation) : [];
    return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
  } catch {
    // Somebody else's annotation of that name: it asks for nothing.
    return [];
  }
}
