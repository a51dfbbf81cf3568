// The status of a pool: pure.
import { same } from '../machinery/same.ts';
import { isReady, type Node } from '../nodes.ts';
import { attributesOf, planNode, readRecord } from './attributes.ts';
import type { NodePool, NodePoolCondition, NodePoolStatus } from './node-pool-crd.ts';

const applied = 'AttributesApplied';
const terminating = 'Terminating';

export interface StatusOptions {
  /** RFC 3339, whole seconds. */
  readonly now: string;
  /** False where the CRD, OpenYurt's for one, has no such field: what is always dropped must not be written again and again. */
  readonly knowsGeneration: boolean;
}

/** What the status should say of these nodes; undefined when it does. Fields and conditions of others are left out, and stay. */
export function planStatus(
  pool: NodePool,
  members: readonly Node[],
  options: StatusOptions,
): NodePoolStatus | undefined {
  const names = members.map(({ metadata }) => metadata.name).sort();
  const ready = members.filter(isReady).length;
  const present = pool.status ?? {};
  const { generation } = pool.metadata;
  const known = options.knowsGeneration && generation !== undefined;
  const conditions = conditionsOf(pool, members, names, options);
  const wanted: NodePoolStatus = {
    ...(known ? { observedGeneration: generation } : {}),
    readyNodeNum: ready,
    unreadyNodeNum: names.length - ready,
    nodes: names,
    conditions,
  };
  const before: NodePoolStatus = {
    ...(known && present.observedGeneration !== undefined ? { observedGeneration: present.observedGeneration } : {}),
    ...(present.readyNodeNum === undefined ? {} : { readyNodeNum: present.readyNodeNum }),
    ...(present.unreadyNodeNum === undefined ? {} : { unreadyNodeNum: present.unreadyNodeNum }),
    // An empty list is left out by clients in Go.
    nodes: present.nodes ?? [],
    conditions: present.conditions ?? [],
  };
  return same(wanted, before) ? undefined : wanted;
}

/** Whether a status says more than the one before, or only the same in other words: which nodes are waited for, of many. */
export function isNews(before: NodePoolStatus | undefined, wanted: NodePoolStatus): boolean {
  const outline = (status: NodePoolStatus | undefined): unknown => [
    status?.observedGeneration ?? null,
    status?.readyNodeNum ?? null,
    status?.unreadyNodeNum ?? null,
    status?.nodes ?? [],
    (status?.conditions ?? []).map(({ type, status: value, reason }) => [type, value, reason ?? '']),
  ];
  return !same(outline(before), outline(wanted));
}

/** Why a pool that is to be deleted is still there, for people; undefined when nothing holds it. */
export function deletionProblem(pool: NodePool, names: readonly string[]): string | undefined {
  if (pool.metadata.deletionTimestamp === undefined || names.length === 0) return undefined;
  const label = 'apps.openyurt.io/nodepool';
  return `The pool goes when its last node has left: move ${some(names)} by kubectl label node NAME --overwrite ${label}=OTHER, or out of every pool by kubectl label node NAME ${label}-`;
}

function conditionsOf(
  pool: NodePool,
  members: readonly Node[],
  names: readonly string[],
  options: StatusOptions,
): readonly NodePoolCondition[] {
  const present = pool.status?.conditions ?? [];
  const wanted = attributesOf(pool.spec);
  const pending = members
    .filter((node) => planNode(node, wanted, readRecord(node).selectedBy) !== undefined)
    .map(({ metadata }) => metadata.name)
    .sort();
  const problem = deletionProblem(pool, names);
  const own: Pick<NodePoolCondition, 'type' | 'status' | 'reason' | 'message'>[] = [
    pending.length === 0
      ? { type: applied, status: 'True', reason: 'AllNodes', message: 'Every node has what the pool gives.' }
      : { type: applied, status: 'False', reason: 'NodesPending', message: `Not yet on ${some(pending)}.` },
    ...(problem === undefined ? [] : [{ type: terminating, status: 'True', reason: 'NodesRemain', message: problem }]),
  ];
  const others = present.filter(({ type }) => type !== applied && type !== terminating);
  return [
    ...others,
    ...own.map((condition): NodePoolCondition => {
      const before = present.find(({ type }) => type === condition.type);
      const { generation } = pool.metadata;
      return {
        ...condition,
        ...(options.knowsGeneration && generation !== undefined ? { observedGeneration: generation } : {}),
        lastTransitionTime:
          before?.status === condition.status ? (before?.lastTransitionTime ?? options.now) : options.now,
      };
    }),
  ];
}

/** The first three of them, and how many more. */
function some(names: readonly string[]): string {
  const first = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${first} and ${names.length - 3} more` : first;
}
