// How long a pod stays on a node that the cloud does not reach: the one field of a running pod's tolerations that Kubernetes
// lets others change. It is set ahead, when the pod lands, so that nothing depends on the guard at the moment of an outage: a
// guard that is down means a late eviction, never an early one.
import { originalTolerationAnnotation, type GuardedPod, type Toleration } from './objects.ts';

const unreachable = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' } as const;

/** A merge patch of the pod; carries its UID and version, so that it is refused when anything changed meanwhile. */
export interface PodPatch {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations: Readonly<Record<string, string | null>>;
  };
  readonly spec: { readonly tolerations: readonly Toleration[] };
}

/**
 * What makes the pod stay for `seconds`, or gives it back what it had (`undefined`). Undefined when it is so already. A pod that
 * tolerates for longer by itself, or for ever, keeps that. What the pod had is written down once, and never overwritten.
 */
export function planToleration(pod: GuardedPod, seconds: number | undefined): PodPatch | undefined {
  const written = pod.metadata.annotations?.[originalTolerationAnnotation];
  const original = written === undefined ? tolerated(pod.tolerations) : parseOriginal(written);
  // For ever by itself, or a note that no guard wrote: the pod keeps what it has.
  if (original === undefined)
    return seconds === undefined && written !== undefined ? patchOf(pod, pod.tolerations, null) : undefined;
  // A toleration cannot be taken away again; one of no seconds is the same.
  const had = original === 'none' ? 0 : original;
  if (seconds === undefined)
    return written === undefined ? undefined : patchOf(pod, withSeconds(pod.tolerations, had), null);
  if (written === undefined && had >= seconds) return undefined;
  const wanted = Math.max(had, seconds);
  return tolerated(pod.tolerations) === wanted
    ? undefined
    : patchOf(pod, withSeconds(pod.tolerations, wanted), written ?? String(original));
}

/** Whether the patch makes the pod leave earlier than it would now. */
export function isShorter(pod: GuardedPod, patch: PodPatch): boolean {
  const seconds = (tolerations: readonly Toleration[]): number => {
    const value = tolerated(tolerations);
    return value === undefined ? Infinity : value === 'none' ? 0 : value;
  };
  return seconds(patch.spec.tolerations) < seconds(pod.tolerations);
}

/** As the taint manager has it: the least of the finite ones, undefined for ever, `none` when nothing matches. */
function tolerated(tolerations: readonly Toleration[]): number | 'none' | undefined {
  const matching = tolerations.filter(matches);
  if (matching.length === 0) return 'none';
  const finite = matching.flatMap(({ tolerationSeconds }) =>
    tolerationSeconds === undefined ? [] : [tolerationSeconds],
  );
  return finite.length === 0 ? undefined : Math.max(0, Math.min(...finite));
}

/** The taint has no value, so `Equal` matches it with an empty one. */
function matches({ key = '', operator = 'Equal', value = '', effect = '' }: Toleration): boolean {
  if (effect !== '' && effect !== unreachable.effect) return false;
  if (operator === 'Exists') return key === '' || key === unreachable.key;
  return key === unreachable.key && value === '';
}

function withSeconds(tolerations: readonly Toleration[], seconds: number): Toleration[] {
  if (!tolerations.some(matches))
    return [...tolerations, { ...unreachable, operator: 'Exists', tolerationSeconds: seconds }];
  return tolerations.map((each) =>
    matches(each) && each.tolerationSeconds !== undefined ? { ...each, tolerationSeconds: seconds } : each,
  );
}

function parseOriginal(text: string): number | 'none' | undefined {
  if (text === 'none') return 'none';
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

function patchOf(pod: GuardedPod, tolerations: readonly Toleration[], original: string | null): PodPatch {
  const { uid, resourceVersion } = pod.metadata;
  return {
    metadata: { uid, resourceVersion, annotations: { [originalTolerationAnnotation]: original } },
    spec: { tolerations },
  };
}
