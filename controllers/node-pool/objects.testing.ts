// Nodes and pools for tests.
import type { Node, NodeTaint } from '../nodes.ts';
import type { NodePool, NodePoolSpec } from './node-pool-crd.ts';

export function node(
  name: string,
  {
    labels = {},
    annotations = {},
    taints = [],
    ready = true,
  }: {
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    taints?: NodeTaint[];
    ready?: boolean;
  } = {},
): Node {
  return {
    metadata: { name, uid: `uid-${name}`, resourceVersion: '1', labels, annotations },
    spec: { taints },
    status: { addresses: [], conditions: [{ type: 'Ready', status: ready ? 'True' : 'Unknown' }] },
  };
}

export function pool(name: string, spec: NodePoolSpec = {}, metadata: Partial<NodePool['metadata']> = {}): NodePool {
  return { metadata: { name, uid: `uid-${name}`, resourceVersion: '1', generation: 1, ...metadata }, spec };
}
