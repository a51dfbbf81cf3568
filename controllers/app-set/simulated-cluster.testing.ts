// For tests: as much of a cluster as a plan acts on. Writes keep the API server's rules that matter here (versions, fields
// that are no longer applied, the controllers of workloads that follow later); pods come and go as a test says.
import { isJsonObject } from '../../kube/patch/json-value.ts';
import { applyJsonMergePatch } from '../../kube/patch/json-merge-patch.ts';
import { canonicalJson } from './names.ts';
import { planAppSet } from './plan.ts';
import type { Action, Observed, Plan, Refusal } from './plan.ts';
import { noticesOf, statusChange, statusOf } from './status.ts';
import type { Notice } from './status.ts';
import { finalizer } from './types.ts';
import type { ControllerRevision, NodePool, Workload, YurtAppSet, YurtAppSetSpec, YurtAppSetStatus } from './types.ts';
import { applyBody, workloadPatch } from './writes.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class SimulatedCluster {
  nowMs = Date.parse('2026-11-21T12:00:00Z');
  appSet: YurtAppSet;
  readonly nodePools = new Map<string, NodePool>();
  readonly workloads = new Map<string, Workload>();
  readonly revisions = new Map<string, ControllerRevision>();
  readonly refusals = new Map<string, Refusal>();
  readonly settled = new Set<string>();
  /** Images that cannot be pulled: pods that have one never get ready. */
  readonly brokenImages = new Set<string>();
  /** Writes by kind since the start. */
  readonly writes: string[] = [];
  readonly notices: Notice[] = [];
  /** Names that somebody else's objects have, so that an apply is refused. */
  readonly taken = new Set<string>();
  #version = 0;

  constructor(spec: YurtAppSetSpec) {
    this.appSet = {
      metadata: { name: 'web', namespace: 'shop', uid: 'app-set-uid', generation: 1 },
      spec,
    };
  }

  setSpec(change: Partial<Mutable<YurtAppSetSpec>>): void {
    const { metadata, spec } = this.appSet;
    this.appSet = {
      ...this.appSet,
      metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 },
      spec: { ...spec, ...change },
    };
  }

  deleteAppSet(): void {
    this.appSet = {
      ...this.appSet,
      metadata: { ...this.appSet.metadata, deletionTimestamp: '2026-11-21T12:00:00Z' },
    };
  }

  addPool(name: string, labels: Readonly<Record<string, string>> = {}, readyNodeNum = 1): void {
    this.nodePools.set(name, { metadata: { name, labels }, status: { readyNodeNum, unreadyNodeNum: 0 } });
  }

  workloadIn(pool: string): Workload | undefined {
    return [...this.workloads.values()].find(
      (workload) => workload.metadata.labels?.['apps.openyurt.io/pool-name'] === pool,
    );
  }

  observe(): Observed {
    return {
      appSet: this.appSet,
      nodePools: [...this.nodePools.values()],
      workloads: [...this.workloads.values()],
      revisions: [...this.revisions.values()],
      refusals: this.refusals,
      settled: this.settled,
      previous: this.appSet.status,
      nowMs: this.nowMs,
    };
  }

  /** One look and all that it leads to; `until` actions of it only, as of a controller that is killed then. */
  reconcile(until = Infinity): Plan {
    const observed = this.observe();
    const plan = planAppSet(observed);
    for (const action of plan.actions.slice(0, until)) this.#carryOut(action);
    if (plan.actions.length < until && plan.view !== undefined) {
      const status = statusOf(observed, plan.view);
      if (statusChange(this.appSet.status, status) !== 'none') {
        this.notices.push(...noticesOf(this.appSet.status, status));
        this.appSet = { ...this.appSet, status: JSON.parse(JSON.stringify(status)) as YurtAppSetStatus };
        this.writes.push('status');
      }
    }
    return plan;
  }

  /** Looks until nothing is written any more; returns how often. Throws after `most`. */
  settle(most: number): number {
    for (let looks = 1; looks <= most; looks++) {
      const before = this.writes.length;
      this.reconcile();
      if (this.writes.length === before) return looks;
    }
    throw new Error(`still writing after ${most} looks: ${this.writes.slice(-10).join(', ')}`);
  }

  /** The controllers of Kubernetes do what they can for the workload in `pool`: all pods or none. */
  runPods(pool: string): void {
    const workload = this.workloadIn(pool);
    if (workload === undefined) return;
    const replicas = typeof workload.spec['replicas'] === 'number' ? workload.spec['replicas'] : 1;
    const nodes = this.nodePools.get(pool)?.status?.readyNodeNum ?? 0;
    const isBroken = nodes === 0 || this.brokenImages.has(imageOf(workload));
    const good = isBroken ? 0 : replicas;
    const status = {
      observedGeneration: workload.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      readyReplicas: good,
      availableReplicas: good,
      desiredNumberScheduled: nodes,
      updatedNumberScheduled: nodes,
      numberReady: isBroken ? 0 : nodes,
      numberAvailable: isBroken ? 0 : nodes,
    };
    this.#store({ ...workload, status });
  }

  runAllPods(): void {
    for (const pool of this.nodePools.keys()) this.runPods(pool);
  }

  /** As `kubectl scale`, or an autoscaler. */
  scale(pool: string, replicas: number): void {
    this.edit(pool, { spec: { replicas } });
  }

  /** As `kubectl patch --type merge`. */
  edit(pool: string, patch: unknown): void {
    const workload = this.workloadIn(pool);
    if (workload !== undefined) this.#store(applyJsonMergePatch(workload, patch) as Workload);
  }

  #carryOut(action: Action): void {
    switch (action.type) {
      case 'add-finalizer':
        this.#write('finalizer');
        this.appSet = { ...this.appSet, metadata: { ...this.appSet.metadata, finalizers: [finalizer] } };
        return;
      case 'remove-finalizer':
        this.#write('finalizer');
        this.appSet = { ...this.appSet, metadata: { ...this.appSet.metadata, finalizers: [] } };
        return;
      case 'create-revision': {
        const revision = action.object as unknown as ControllerRevision;
        this.#write('create-revision');
        this.revisions.set(revision.metadata.name, revision);
        return;
      }
      case 'renumber-revision':
        this.#write('renumber-revision');
        this.revisions.set(action.revision.metadata.name, { ...action.revision, revision: action.to });
        return;
      case 'delete-revision':
        this.#write('delete-revision');
        this.revisions.delete(action.revision.metadata.name);
        return;
      case 'delete':
        this.#write('delete');
        this.workloads.delete(action.workload.metadata.name);
        return;
      case 'scale':
      case 'mark-lost':
      case 'unmark-lost': {
        this.#write(action.type);
        this.#store(applyJsonMergePatch(action.workload, workloadPatch(action, this.nowMs)) as Workload);
        return;
      }
      case 'apply':
        this.#apply(action);
    }
  }

  #apply(action: Extract<Action, { type: 'apply' }>): void {
    const body = applyBody(action, this.nowMs) as unknown as Workload;
    this.#write(action.existing === undefined ? 'create' : 'apply');
    if (this.taken.has(body.metadata.name)) {
      const retryAtMs = this.nowMs + 10_000;
      this.refusals.set(action.pool, { hash: action.rendered.hash, message: 'the name is taken', retryAtMs });
      return;
    }
    this.refusals.delete(action.pool);
    const live = this.workloads.get(body.metadata.name);
    const lost = live?.metadata.annotations?.['holdfast.dev/pool-lost-since'];
    this.#store({
      ...live,
      ...body,
      metadata: {
        ...live?.metadata,
        ...body.metadata,
        uid: live?.metadata.uid ?? `uid-${this.#version}`,
        annotations: {
          ...body.metadata.annotations,
          ...(lost === undefined ? {} : { 'holdfast.dev/pool-lost-since': lost }),
        },
      },
      // Defaulted, and no field of the applied object any more.
      spec: { replicas: 1, ...body.spec },
    });
  }

  #write(kind: string): void {
    this.writes.push(kind);
  }

  #store(workload: Workload): void {
    const live = this.workloads.get(workload.metadata.name);
    const isSame = live !== undefined && canonicalJson(live.spec) === canonicalJson(workload.spec);
    const generation = (live?.metadata.generation ?? 0) + (isSame ? 0 : 1);
    const resourceVersion = String(++this.#version);
    // As lists of the API server show it.
    const { apiVersion: _, ...shown } = workload as Workload & { apiVersion?: string };
    this.workloads.set(workload.metadata.name, {
      ...shown,
      metadata: { ...workload.metadata, generation, resourceVersion },
    });
  }
}

/** The image of the first container. */
export function imageOf(workload: Workload): string {
  const template = workload.spec['template'] as { spec?: { containers?: { image?: string }[] } } | undefined;
  return (isJsonObject(template) ? template.spec?.containers?.[0]?.image : undefined) ?? '';
}
