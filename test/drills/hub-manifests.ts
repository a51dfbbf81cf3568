// What an operator applies for the hubs of a cluster: config/rbac/node.yaml, and for which service accounts they keep views.
import { core } from '../cluster/manifest.ts';
import type { Manifest } from '../cluster/manifest.ts';
import { nodeRules } from '../cluster/node-rules.ts';

/** `serviceAccounts`: beside the default ones, as NAMESPACE:NAME. */
export function hubManifests(serviceAccounts: readonly string[]): Manifest[] {
  return [
    ...nodeRules(),
    core('kube-system', 'configmaps', 'ConfigMap', {
      metadata: { name: 'holdfast-node' },
      data: { serviceAccounts: serviceAccounts.join(' ') },
    }),
  ];
}
