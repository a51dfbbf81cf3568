// Nodes and pods as the guard keeps them, for its tests.
import type { GuardedNode, GuardedPod } from './objects.ts';

export function guardedPod(change: Partial<GuardedPod> = {}): GuardedPod {
  return {
    metadata: { name: 'web-1', namespace: 'shop', uid: 'pod-uid', resourceVersion: '7' },
    nodeName: 'edge-1',
    tolerations: [
      { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
      { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 },
    ],
    controlledBy: 'ReplicaSet',
    isStatic: false,
    hasClaims: false,
    isOver: false,
    ...change,
  };
}

export function guardedNode(change: Partial<GuardedNode> = {}): GuardedNode {
  return {
    metadata: { name: 'edge-1', uid: 'node-uid', resourceVersion: '9' },
    pool: 'shop',
    autonomy: undefined,
    cordoned: false,
    fenced: false,
    bootID: 'boot-1',
    taints: [],
    condition: undefined,
    ...change,
  };
}
