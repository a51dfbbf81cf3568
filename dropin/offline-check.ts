// Would every pod of this node come back after a reboot, with the cloud gone from now on? Pure, from what the hub keeps: each thing
// that the kubelet asks for before it starts a container, and what is missing.
import { isReady, usesApi, type Container, type Pod } from './pods.ts';
import type { Check } from './preflight.ts';

/** What the kubelet reads by name for a pod. */
export interface Need {
  readonly resource: 'configmaps' | 'secrets' | 'persistentvolumeclaims';
  readonly namespace: string;
  readonly name: string;
}

export interface OfflineFacts {
  readonly pods: readonly Pod[];
  /** Whether the hub has it, by `needKey`. */
  readonly kept: ReadonlyMap<string, boolean>;
  /** Tokens that the hub has saved, of all pods. */
  readonly savedTokens: number;
  readonly hubStartsAtBoot: boolean;
  readonly kubeletAtHub: boolean;
}

const keepPullPolicy = 'holdfast.dev/keep-image-pull-policy';

export const needKey = ({ resource, namespace, name }: Need): string => `${resource}/${namespace}/${name}`;

/** Each once; those that are optional are left out, since a pod starts without them. */
export function needsOf({ metadata, spec }: Pod): Need[] {
  const needs = new Map<string, Need>();
  const add = (resource: Need['resource'], reference: { name?: string; optional?: boolean } | undefined): void => {
    if (reference?.name === undefined || reference.optional === true) return;
    const need = { resource, namespace: metadata.namespace, name: reference.name };
    needs.set(needKey(need), need);
  };
  for (const volume of spec.volumes ?? []) {
    const { secret, configMap, persistentVolumeClaim, projected } = volume;
    add('configmaps', configMap);
    if (secret?.secretName !== undefined) add('secrets', { ...secret, name: secret.secretName });
    if (persistentVolumeClaim !== undefined) add('persistentvolumeclaims', { name: persistentVolumeClaim.claimName });
    for (const source of projected?.sources ?? []) {
      add('configmaps', source.configMap);
      add('secrets', source.secret);
    }
  }
  for (const container of containersOf({ spec })) {
    for (const { secretRef, configMapRef } of container.envFrom ?? []) {
      add('secrets', secretRef);
      add('configmaps', configMapRef);
    }
    for (const { valueFrom } of container.env ?? []) {
      add('secrets', valueFrom?.secretKeyRef);
      add('configmaps', valueFrom?.configMapKeyRef);
    }
  }
  for (const { name } of spec.imagePullSecrets ?? []) add('secrets', { name, optional: true });
  return [...needs.values()];
}

/** One per pod, and one each for what concerns all. */
export function offlineChecks(facts: OfflineFacts): Check[] {
  const checks: Check[] = [];
  if (!facts.hubStartsAtBoot)
    checks.push({
      name: 'hub',
      verdict: 'refused',
      cause: 'the hub does not start at boot',
      fix: 'systemctl enable holdfast-node',
    });
  if (!facts.kubeletAtHub)
    checks.push({
      name: 'kubelet',
      verdict: 'refused',
      cause: 'the kubelet does not use the hub',
      fix: 'holdfast diagnose says why.',
    });
  const withToken = facts.pods.filter(usesApi).length;
  if (facts.savedTokens < withToken)
    checks.push({
      name: 'tokens',
      verdict: 'refused',
      cause: `${withToken} pods mount a token, and the hub has saved ${facts.savedTokens}`,
      fix: 'The kubelet asks for them when it starts: systemctl restart kubelet, with the cloud in reach.',
    });
  return [...checks, ...facts.pods.map((pod) => podCheck(pod, facts))];
}

function podCheck(pod: Pod, { kept }: OfflineFacts): Check {
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
  const missing = needsOf(pod).filter((need) => kept.get(needKey(need)) !== true);
  if (missing.length > 0) {
    const what = missing.map(({ resource, name: object }) => `${words[resource]} ${object}`).join(', ');
    return {
      name,
      verdict: 'refused',
      cause: `the hub does not have ${what}`,
      fix: 'Make it, or see why the node may not read it: kubectl describe pod.',
    };
  }
  const started = new Set(
    (pod.status?.containerStatuses ?? []).filter(({ imageID }) => (imageID ?? '') !== '').map((status) => status.name),
  );
  const absent = pod.spec.containers.filter((container) => !started.has(container.name));
  if (absent.length > 0)
    return {
      name,
      verdict: 'refused',
      cause: `no image is known to be here for ${absent.map(({ name: container, image }) => `${container} (${image})`).join(', ')}`,
      fix: 'Let it start once with the registry in reach, or pull it: crictl pull IMAGE.',
    };
  const pulls = containersOf(pod).filter(({ imagePullPolicy }) => imagePullPolicy === 'Always');
  if (pulls.length > 0 && pod.metadata.annotations?.[keepPullPolicy] !== undefined)
    return {
      name,
      verdict: 'refused',
      cause: `${pulls.map((container) => container.name).join(', ')} must be pulled at each start, by imagePullPolicy and the annotation ${keepPullPolicy}`,
      fix: 'Take the annotation away, or set imagePullPolicy: IfNotPresent.',
    };
  if (!isReady(pod))
    return {
      name,
      verdict: 'warning',
      cause: 'it is not Ready now',
      fix: 'kubectl describe pod says why; a reboot will hardly help.',
    };
  return { name, verdict: 'ok', cause: 'comes back', fix: '' };
}

const words = { configmaps: 'ConfigMap', secrets: 'Secret', persistentvolumeclaims: 'PersistentVolumeClaim' } as const;

function containersOf({ spec }: Pick<Pod, 'spec'>): readonly Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
