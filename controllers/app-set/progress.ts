// How far a workload is with the template that it has, read from its status as its own controller writes it.
import { child, list, text } from '../../kube/plain-object.ts';
import { startedAnnotation } from './types.ts';
import type { Workload } from './types.ts';

export interface Progress {
  /** Every pod has the template and is available. */
  readonly complete: boolean;
  /** All pods are ready, with whichever template. */
  readonly ready: boolean;
  readonly replicas: number;
  readonly readyReplicas: number;
  /** Why it will not become complete by itself; undefined while it may. */
  readonly failure: string | undefined;
  /** When it will have failed if it is not complete by then, milliseconds since 1970; undefined if it cannot. */
  readonly deadlineMs: number | undefined;
}

export interface ProgressOptions {
  readonly nowMs: number;
  readonly poolDeadlineSeconds: number;
  /** Nodes of the pool that are ready, if it is known: a DaemonSet that tolerates everything waits for the others in vain. */
  readonly readyNodes: number | undefined;
}

export function progressOf(workload: Workload, options: ProgressOptions): Progress {
  const counts = countsOf(workload, options.readyNodes);
  // What the status says is of the spec before, until its controller has seen this one.
  const isObserved = number(workload.status, 'observedGeneration') >= (workload.metadata.generation ?? 0);
  const complete = isObserved && counts.complete;
  const started = Date.parse(workload.metadata.annotations?.[startedAnnotation] ?? '');
  const deadlineMs = Number.isNaN(started) ? undefined : started + options.poolDeadlineSeconds * 1000;
  return {
    complete,
    ready: isObserved && counts.ready,
    replicas: counts.replicas,
    readyReplicas: counts.readyReplicas,
    failure: complete ? undefined : failureOf(workload, isObserved, deadlineMs, options),
    deadlineMs: complete ? undefined : deadlineMs,
  };
}

interface Counts {
  readonly replicas: number;
  readonly readyReplicas: number;
  readonly ready: boolean;
  readonly complete: boolean;
}

function countsOf(workload: Workload, readyNodes: number | undefined): Counts {
  const { spec, status } = workload;
  if (workload.kind === 'DaemonSet') {
    const replicas = number(status, 'desiredNumberScheduled');
    const readyReplicas = number(status, 'numberReady');
    const needed = Math.min(replicas, readyNodes ?? replicas);
    const updated = isOnDelete(workload) || number(status, 'updatedNumberScheduled') >= needed;
    return {
      replicas,
      readyReplicas,
      ready: readyReplicas >= replicas,
      complete: updated && number(status, 'numberAvailable') >= needed,
    };
  }
  const replicas = typeof spec['replicas'] === 'number' ? spec['replicas'] : 1;
  const readyReplicas = number(status, 'readyReplicas');
  const updatedReplicas = number(status, 'updatedReplicas');
  const base = { replicas, readyReplicas, ready: readyReplicas >= replicas };
  if (workload.kind === 'Deployment') {
    const onlyNew = number(status, 'replicas') <= updatedReplicas;
    const available = number(status, 'availableReplicas') >= replicas;
    return { ...base, complete: updatedReplicas >= replicas && onlyNew && available };
  }
  const partition = number(child(child(spec, 'updateStrategy'), 'rollingUpdate'), 'partition');
  const updated = isOnDelete(workload) || updatedReplicas >= replicas - partition;
  const available = number(status, 'availableReplicas') >= replicas;
  return { ...base, complete: updated && available && number(status, 'replicas') === replicas };
}

function failureOf(
  workload: Workload,
  isObserved: boolean,
  deadlineMs: number | undefined,
  options: ProgressOptions,
): string | undefined {
  const progressing = list(workload.status ?? {}, 'conditions').find((item) => text(item, 'type') === 'Progressing');
  if (isObserved && progressing !== undefined && text(progressing, 'reason') === 'ProgressDeadlineExceeded')
    return text(progressing, 'message') || 'the Deployment exceeded its progress deadline';
  if (deadlineMs !== undefined && options.nowMs >= deadlineMs)
    return `not complete ${options.poolDeadlineSeconds} s after it got the template`;
  return undefined;
}

/** Its pods change when somebody deletes them: nothing to wait for. */
function isOnDelete(workload: Workload): boolean {
  return text(child(workload.spec, 'updateStrategy'), 'type') === 'OnDelete';
}

function number(object: Readonly<Record<string, unknown>> | undefined, field: string): number {
  const value = object?.[field];
  return typeof value === 'number' ? value : 0;
}
