// What a verdict changes on the Node itself: the condition that says it, the taint that keeps new pods away, and, once the
// machine is known to be fenced, the taint by which Kubernetes gives up its pods and volumes. Pure. Nothing here makes a node
// look healthier than it is, and nothing touches what the node controller or a person set.
import { conditionType, cutOffTaint, outOfServiceTaint, type GuardedNode, type Taint } from './objects.ts';
import type { Verdict, VerdictKind } from './rules.ts';

/** Status and reason of the condition PeerHealth. True: it works, as far as anybody saw. */
const conditions: Readonly<
  Record<Exclude<VerdictKind, 'observing'>, { readonly status: string; readonly reason: string }>
> = {
  alive: { status: 'True', reason: 'Alive' },
  cutOff: { status: 'True', reason: 'CutOff' },
  siteCutOff: { status: 'Unknown', reason: 'SiteCutOff' },
  undecided: { status: 'Unknown', reason: 'Undecided' },
  dead: { status: 'False', reason: 'Dead' },
};

/** What the Node's condition says was decided; undefined: nothing, or in words of no guard. */
export function standingOf(node: GuardedNode): VerdictKind | undefined {
  const entry = Object.entries(conditions).find(([, { reason }]) => reason === node.condition?.reason);
  return entry?.[0] as VerdictKind | undefined;
}

/** Whether anything on the Node is the guard's. */
export function isMarked(node: GuardedNode): boolean {
  return node.condition !== undefined || node.taints.some(isCutOff) || node.taints.some(isOurOutOfService);
}

export interface NodePlan {
  /** Merge patch of the Node, with its version: taints are one list, and others change it too. */
  readonly taints: { readonly metadata: object; readonly spec: { readonly taints: readonly Taint[] } } | undefined;
  /** Strategic merge patch of its status. */
  readonly condition: { readonly status: { readonly conditions: readonly object[] } } | undefined;
}

/** `verdict` undefined: the node is in no pool, and what the guard had set is taken back. `now`: RFC 3339, for people. */
export function planNode(node: GuardedNode, verdict: Verdict | undefined, now: string): NodePlan {
  if (verdict?.kind === 'observing') return { taints: undefined, condition: undefined };
  const taints = plannedTaints(node, verdict, now);
  const { uid, resourceVersion } = node.metadata;
  return {
    taints: taints === undefined ? undefined : { metadata: { uid, resourceVersion }, spec: { taints } },
    condition: plannedCondition(node, verdict, now),
  };
}

function plannedTaints(node: GuardedNode, verdict: Verdict | undefined, now: string): Taint[] | undefined {
  const kind = verdict?.kind;
  let taints = [...node.taints];
  const isWellAgain = kind === 'alive' || kind === undefined;
  if (isWellAgain) taints = taints.filter((taint) => !isCutOff(taint));
  else if (!taints.some(isCutOff)) taints.push({ ...cutOffTaint });
  if (isWellAgain) taints = taints.filter((taint) => !isOurOutOfService(taint));
  else if (kind === 'dead' && node.fenced && !taints.some(({ key }) => key === outOfServiceTaint.key))
    taints.push({ ...outOfServiceTaint, timeAdded: now });
  return taints.length === node.taints.length && taints.every((taint, n) => taint === node.taints[n])
    ? undefined
    : taints;
}

function isCutOff({ key, effect }: Taint): boolean {
  return key === cutOffTaint.key && effect === cutOffTaint.effect;
}

/** One that a person set is a person's to take away. */
function isOurOutOfService({ key, value }: Taint): boolean {
  return key === outOfServiceTaint.key && value === outOfServiceTaint.value;
}

function plannedCondition(node: GuardedNode, verdict: Verdict | undefined, now: string): NodePlan['condition'] {
  const type = conditionType;
  if (verdict === undefined)
    return node.condition === undefined ? undefined : { status: { conditions: [{ type, $patch: 'delete' }] } };
  if (verdict.kind === 'observing') return undefined;
  // A node that was never in doubt needs no word: a write for each of thousands would be for nothing.
  if (verdict.kind === 'alive' && node.condition === undefined) return undefined;
  const { status, reason } = conditions[verdict.kind];
  // The votes of the moment of the decision; what they were later is in the metrics.
  if (node.condition?.status === status && node.condition.reason === reason) return undefined;
  const lastTransitionTime = node.condition?.status === status ? node.condition.lastTransitionTime : now;
  const message = `${verdict.reason}: ${verdict.message}`;
  return { status: { conditions: [{ type, status, reason, message, lastHeartbeatTime: now, lastTransitionTime }] } };
}
