// Endpoints of a slice with the addresses and the readiness that a kubelet reports of their pods.
import { isIPv6 } from 'node:net';
import { child, list, text } from '../../kube/plain-object.ts';
import type { KubeObject, TypeMeta } from '../../kube/wire.ts';
import type { LocalPod } from './local-pods.ts';

export const sliceType: TypeMeta = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };

/** What the cloud says of an endpoint. */
export interface CloudWord {
  readonly addresses: readonly string[];
  readonly ready: boolean;
}

/** The pod of an endpoint, if what is known of it here counts more than what the cloud says. */
export type PodOf = (endpoint: KubeObject, cloud: CloudWord, addressType: string) => LocalPod | undefined;

/** Undefined when no endpoint is of such a pod. */
export function sliceWithPods(slice: KubeObject, podOf: PodOf): KubeObject | undefined {
  const type = text(slice, 'addressType');
  let touched = false;
  const endpoints = list(slice, 'endpoints').flatMap((endpoint) => {
    const cloud = {
      addresses: (endpoint['addresses'] ?? []) as string[],
      ready: child(endpoint, 'conditions')['ready'] !== false,
    };
    const pod = podOf(endpoint, cloud, type);
    if (pod === undefined) return [endpoint];
    touched = true;
    const addresses = ofFamily(pod, type);
    return addresses.length === 0 ? [] : [{ ...endpoint, addresses, conditions: conditionsOf(pod, endpoint) }];
  });
  return touched ? { ...slice, endpoints } : undefined;
}

export function ofFamily({ addresses, finished }: LocalPod, type: string): string[] {
  return finished ? [] : addresses.filter((address) => isIPv6(address) === (type === 'IPv6'));
}

/** By the rules of the EndpointSlice controller; `terminating` is the cloud's to say, since it alone deletes pods. */
function conditionsOf(pod: LocalPod, endpoint: KubeObject): KubeObject {
  const before = child(endpoint, 'conditions');
  const terminating = before['terminating'] === true;
  // Ready without serving: the Service publishes addresses that are not ready.
  const always = before['ready'] === true && before['serving'] === false;
  return { ready: always || (pod.ready && !terminating), serving: pod.ready, terminating };
}
