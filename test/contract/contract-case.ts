// One line of the contract's table: what is asked, what the API server answers (so that the table can be read by itself),
// and in what a hub's answer may differ, with the reason.
import type { Answer, Question } from './asker.ts';
import type { Allowance } from './comparison.ts';

/** What the cases may refer to. Versions are texts, as Kubernetes has them. */
export interface Known {
  /** Version of the configmap that was written last in namespace `a`: every list of configmaps is at least as new. */
  readonly configMapVersion: string;
  /** One change of it before. */
  readonly earlierConfigMapVersion: string;
  readonly widgetVersion: string;
  /** A version that etcd has compacted and no watch cache holds. */
  readonly compactedVersion: string;
}

export type Ask = (target: string, question?: Question) => Promise<Answer>;

export interface ContractCase {
  readonly name: string;
  /** The answers, in order. */
  readonly ask: (ask: Ask, known: Known) => Promise<readonly Answer[]>;
  /** HTTP statuses of the API server itself, in the same order. */
  readonly statuses: readonly number[];
  /** In which fields a hub's answer may differ: paths begin with the number of the answer, or `*`. */
  readonly online?: readonly Allowance[];
  readonly offline?: readonly Allowance[];
  /** Where a hub that is cut off says something else: its statuses, and why. Nothing else is compared then. */
  readonly offlineInstead?: { readonly statuses: readonly number[]; readonly reason: string };
}

/** One question with one answer. */
export function asks(
  name: string,
  status: number,
  target: string | ((known: Known) => string),
  more: Question & Pick<ContractCase, 'online' | 'offline' | 'offlineInstead'> = {},
): ContractCase {
  const { method, headers, ...rest } = more;
  const question = { ...(method === undefined ? {} : { method }), ...(headers === undefined ? {} : { headers }) };
  return {
    name,
    statuses: [status],
    ask: async (ask, known) => [await ask(typeof target === 'string' ? target : target(known), question)],
    ...rest,
  };
}

/** Allowed in every case, with the reason. */
export const alwaysAllowed: readonly Allowance[] = [
  {
    path: '*.body.metadata.resourceVersion',
    reason: "a view's version is that of its last event or bookmark; the cluster's goes on with every write anywhere",
  },
];
