// Which pods leave a dead node, and how long pods stay on one that is only cut off. Pure.
import { parseDuration } from '../../kube/duration.ts';
import { evictionAnnotation, type GuardedPod } from './objects.ts';

/** Why a pod is left where it is; `delete`: it goes. */
export type PodFate =
  | 'delete'
  /** It has ended, or is being deleted. */
  | 'gone'
  /** Its owner said that the guard is to leave it alone. */
  | 'optedOut'
  /** It belongs to the node: of a DaemonSet, or from a file on the node. */
  | 'ofNode'
  /** Nobody would make it again. */
  | 'bare'
  /** Two of it must never run: it goes when the node is known to be fenced. */
  | 'needsFencing';

/** What becomes of a pod on a node that is dead. */
export function fateOf(pod: GuardedPod): PodFate {
  if (pod.isOver || pod.metadata.deletionTimestamp !== undefined) return 'gone';
  if (isOptedOut(pod)) return 'optedOut';
  if (pod.isStatic || pod.controlledBy === 'DaemonSet' || pod.controlledBy === 'Node') return 'ofNode';
  if (pod.controlledBy === undefined) return 'bare';
  // An owner of another kind may number its pods as a StatefulSet does: what has a volume of its own shows it.
  if (pod.controlledBy === 'StatefulSet' || pod.hasClaims) return 'needsFencing';
  return 'delete';
}

/** Whether the guard sets how long the pod stays. Those of the node tolerate everything anyway. */
export function isKept(pod: GuardedPod): boolean {
  const fate = fateOf(pod);
  return fate !== 'gone' && fate !== 'optedOut' && fate !== 'ofNode';
}

export function isOptedOut(pod: GuardedPod): boolean {
  return pod.metadata.annotations?.[evictionAnnotation] === 'stock';
}

/** Ten years: `0` means "without end" to OpenYurt's users, and here everything ends. */
const longestStaySeconds = 315_360_000;

export interface Stay {
  /** Undefined: as the pod has it, which is stock Kubernetes' timing. */
  readonly seconds: number | undefined;
  /** An annotation that cannot be read; what is more general counts. */
  readonly problem: string | undefined;
}

/**
 * How long pods stay on a node that is cut off: as the node's annotation says, or its pool's, or the guard's default. A pool of
 * one has nobody to tell dead from cut off, so that the default does not hold there.
 */
export function stayOf(
  nodeAutonomy: string | undefined,
  poolAutonomySeconds: number | undefined,
  poolSize: number,
  defaultSeconds: number,
): Stay {
  const own = nodeAutonomy === undefined ? undefined : parseDuration(nodeAutonomy);
  const problem =
    nodeAutonomy !== undefined && own === undefined
      ? `annotation node.openyurt.io/autonomy-duration must be a duration such as 24h, is ${JSON.stringify(nodeAutonomy)}`
      : undefined;
  const declared = own ?? poolAutonomySeconds;
  if (declared === undefined) return { seconds: poolSize > 1 ? defaultSeconds : undefined, problem };
  return { seconds: declared === 0 ? longestStaySeconds : Math.min(Math.ceil(declared), longestStaySeconds), problem };
}
