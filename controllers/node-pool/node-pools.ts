// Pools as the controllers see them.
import type { Collection } from '../machinery/informer.ts';
import { withoutManagedFields } from '../machinery/resource.ts';
import { nodePools as resource, type NodePool } from './node-pool-crd.ts';

export const nodePoolCollection: Collection<NodePool> = {
  name: 'nodepools',
  resource,
  keep: (object) => withoutManagedFields<NodePool>(object),
};
