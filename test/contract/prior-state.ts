// What the local clients of a node have done before: the same for the hub that stays online and the one that is cut off.
import type { LocalClient } from '../integration/local-client.ts';
import { json, protobuf } from './asker.ts';
import type { Known } from './contract-case.ts';
import { widgets } from './seed.ts';

/** Collections that somebody watches, and with it the form. */
const watched: readonly (readonly [target: string, accept: string])[] = [
  // A kubelet.
  ['/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1', `${protobuf},${json}`],
  ['/api/v1/nodes?fieldSelector=metadata.name%3Dedge1', `${protobuf},${json}`],
  ['/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone', `${protobuf},${json}`],
  // A kube-proxy.
  ['/api/v1/nodes', `${protobuf},${json}`],
  // An operator.
  ['/api/v1/namespaces', json],
  ['/api/v1/namespaces/a/configmaps', json],
  ['/api/v1/namespaces/a/secrets', json],
  ['/api/v1/namespaces/a/services', json],
  ['/api/v1/namespaces/many/configmaps', `${protobuf},${json}`],
  ['/api/v1/configmaps?labelSelector=app%3Dweb', `${protobuf},${json}`],
  [widgets('a'), json],
  [`${widgets('a')}?fieldSelector=spec.color%3Dred`, json],
];

/** Read once, by name or path. */
const read: readonly (readonly [target: string, accept: string])[] = [
  ['/version', json],
  ['/api', json],
  ['/apis', json],
  ['/api/v1', json],
  ['/apis/example.com/v1', json],
  ['/apis', aggregated()],
  ['/api', aggregated()],
  ['/openapi/v3', json],
  ['/openapi/v3/apis/example.com/v1', json],
  ['/openapi/v3/api/v1', json],
  ['/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.example.com', json],
  ['/api/v1/namespaces/unkept/configmaps/unseen', json],
  ['/api/v1/namespaces/kube-system', `${protobuf},${json}`],
];

/** Accept of a client-go that asks for aggregated discovery, with what it takes else. */
export function aggregated(): string {
  const form = (version: string): string =>
    `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  return `${form('v2')},${form('v2beta1')},application/json`;
}

/** Resolves when the hub's views have all that there is. */
export async function keptBefore(client: LocalClient, known: Known): Promise<void> {
  for (const [target, accept] of watched) {
    const answer = await client.request('GET', `${target}${joint(target)}resourceVersion=0`, { headers: { accept } });
    if (answer.status !== 200) throw new Error(`${target}: ${answer.status} ${answer.body.toString()}`);
  }
  for (const [target, accept] of read) {
    const answer = await client.request('GET', target, { headers: { accept } });
    if (answer.status !== 200) throw new Error(`${target}: ${answer.status} ${answer.body.toString()}`);
  }
  const atLeast = `resourceVersion=${known.configMapVersion}&resourceVersionMatch=NotOlderThan`;
  await client.get(`/api/v1/namespaces/a/configmaps?${atLeast}`);
}

function joint(target: string): string {
  return target.includes('?') ? '&' : '?';
}
