// Where a person's kubeconfig is when nobody names one.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** As kubectl; and on a control plane of kubeadm, where root has nothing else, its administrator's. */
export const usualPlaces = (): string[] => [path.join(homedir(), '.kube', 'config'), '/etc/kubernetes/admin.conf'];

/** Undefined when there is none. */
export function usualKubeconfig(): string | undefined {
  return usualPlaces().find(existsSync);
}
