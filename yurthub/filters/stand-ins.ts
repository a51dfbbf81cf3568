// Pods of this node that stand in for a Service here: CoreDNS of the node's own for kube-dns, for example. They say so by a label, and
// are no endpoints of the Service anywhere else. Known from the kubelet's own view of its pods, so that nothing goes over the link.
import { child, list, metadataOf, text } from '../../kube/plain-object.ts';
import type { KubeObject, Wire } from '../../kube/wire.ts';
import { mayHave } from './annotations.ts';
import { localPod, type LocalPod } from './local-pods.ts';

/** On a pod: the name of a Service of its namespace. */
export const standInLabel = 'holdfast.dev/stands-in-for';

export interface StandIn {
  readonly name: string;
  readonly pod: LocalPod;
  /** Of its containers, as an EndpointSlice has them; those without a name are no Service's. */
  readonly ports: readonly KubeObject[];
}

interface Known extends StandIn {
  /** NAMESPACE/NAME */
  readonly service: string;
}

const podType = { apiVersion: 'v1', kind: 'Pod' };

export class StandIns {
  readonly #pods = new Map<string, Known>();

  get empty(): boolean {
    return this.#pods.size === 0;
  }

  /** Those of a Service, ready or not. */
  of(namespace: string, service: string): StandIn[] {
    return [...this.#pods.values()].filter((known) => known.service === `${namespace}/${service}`);
  }

  /** Services that a pod stands in for, without their namespaces. */
  services(): string[] {
    return [...this.#pods.values()].map(({ service }) => nameOf(service));
  }

  /** Names of Services that are answered otherwise than before. */
  put(wire: Wire, namespace: string, name: string, bytes: Buffer): string[] {
    return this.#set(`${namespace}/${name}`, mayHave(bytes, standInLabel) ? standIn(wire, bytes) : undefined);
  }

  /** As put. */
  remove(namespace: string, name: string): string[] {
    return this.#set(`${namespace}/${name}`, undefined);
  }

  #set(key: string, known: Known | undefined): string[] {
    const before = this.#pods.get(key);
    if (known === undefined) this.#pods.delete(key);
    else this.#pods.set(key, known);
    if (JSON.stringify(before) === JSON.stringify(known)) return [];
    return [before, known].flatMap((one) => (one === undefined ? [] : [nameOf(one.service)]));
  }
}

function standIn(wire: Wire, bytes: Buffer): Known | undefined {
  const { namespace, name } = wire.meta(bytes);
  const service = wire.labels(bytes)[standInLabel];
  if (service === undefined || service === '') return undefined;
  const object = wire.decode(podType, bytes);
  const metadata = metadataOf(object);
  // One that ends finishes what it was asked, and is asked no more.
  const isEnding = text(metadata, 'deletionTimestamp') !== '';
  const pod = localPod(text(metadata, 'uid'), child(object, 'status'));
  return {
    service: `${namespace}/${service}`,
    name,
    pod: { ...pod, finished: pod.finished || isEnding },
    ports: list(child(object, 'spec'), 'containers')
      .flatMap((container) => list(container, 'ports'))
      .filter((port) => text(port, 'name') !== '')
      .map((port) => ({
        name: text(port, 'name'),
        port: port['containerPort'],
        protocol: text(port, 'protocol') || 'TCP',
      })),
  };
}

const nameOf = (service: string): string => service.slice(service.indexOf('/') + 1);
