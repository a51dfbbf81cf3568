// The cells of a pod in a Table, by printPod of kubernetes/pkg/printers/internalversion/printers.go (v1.34).
import { ageText } from './age-text.ts';
import { child, fieldText, list, metadataOf, text } from './plain-object.ts';
import type { KubeObject } from './wire.ts';

interface PodSummary {
  readonly ready: string;
  readonly status: string;
  readonly restarts: string;
}

/** What READY, STATUS and RESTARTS say. */
export function podSummary(pod: KubeObject, nowMs: number): PodSummary {
  const spec = child(pod, 'spec');
  const status = child(pod, 'status');
  const sidecars = new Set(
    list(spec, 'initContainers')
      .filter((container) => text(container, 'restartPolicy') === 'Always')
      .map((container) => text(container, 'name')),
  );
  const total = list(spec, 'containers').length + sidecars.size;
  const init = initState(pod, sidecars);
  let { ready, restarts } = init;
  let reason = init.reason ?? podReason(status);
  if (init.reason === undefined || conditionIsTrue(status, 'Initialized')) {
    restarts = init.sidecarRestarts;
    let hasRunning = false;
    for (const container of list(status, 'containerStatuses').toReversed()) {
      restarts = restarts.with(container);
      const state = child(container, 'state');
      const own = text(child(state, 'waiting'), 'reason') || terminatedReason(state, '');
      if (own !== '') reason = own;
      else if (container['ready'] === true && state['running'] !== undefined) {
        hasRunning = true;
        ready += 1;
      }
    }
    if (reason === 'Completed' && hasRunning) reason = conditionIsTrue(status, 'Ready') ? 'Running' : 'NotReady';
  }
  const phase = text(status, 'phase');
  if (text(metadataOf(pod), 'deletionTimestamp') !== '') {
    if (text(status, 'reason') === 'NodeLost') reason = 'Unknown';
    else if (phase !== 'Succeeded' && phase !== 'Failed') reason = 'Terminating';
  }
  return { ready: `${ready}/${total}`, status: reason, restarts: restarts.text(nowMs) };
}

function podReason(status: KubeObject): string {
  const gated = list(status, 'conditions').some(
    (condition) => text(condition, 'type') === 'PodScheduled' && text(condition, 'reason') === 'SchedulingGated',
  );
  return gated ? 'SchedulingGated' : text(status, 'reason') || text(status, 'phase');
}

interface InitState {
  /** Sidecars that are ready. */
  readonly ready: number;
  readonly restarts: Restarts;
  readonly sidecarRestarts: Restarts;
  /** What initialization waits for or has failed of; undefined when it is done. */
  readonly reason: string | undefined;
}

function initState(pod: KubeObject, sidecars: ReadonlySet<string>): InitState {
  let ready = 0;
  let restarts = new Restarts(0, '');
  let sidecarRestarts = restarts;
  for (const [index, container] of list(child(pod, 'status'), 'initContainerStatuses').entries()) {
    const isSidecar = sidecars.has(text(container, 'name'));
    restarts = restarts.with(container);
    if (isSidecar) sidecarRestarts = sidecarRestarts.with(container);
    const state = child(container, 'state');
    const terminated = state['terminated'] === undefined ? undefined : child(state, 'terminated');
    if (terminated !== undefined && (terminated['exitCode'] ?? 0) === 0) continue;
    if (isSidecar && container['started'] === true) {
      if (container['ready'] === true) ready += 1;
      continue;
    }
    const waiting = text(child(state, 'waiting'), 'reason');
    const count = list(child(pod, 'spec'), 'initContainers').length;
    const why = terminatedReason(state, '') || (waiting === 'PodInitializing' ? '' : waiting) || `${index}/${count}`;
    return { ready, restarts, sidecarRestarts, reason: `Init:${why}` };
  }
  return { ready, restarts, sidecarRestarts, reason: undefined };
}

/** Why a container ended; `otherwise` while it has not. */
function terminatedReason(state: KubeObject, otherwise: string): string {
  if (state['terminated'] === undefined) return otherwise;
  const terminated = child(state, 'terminated');
  const { signal } = terminated;
  if (text(terminated, 'reason') !== '') return text(terminated, 'reason');
  return typeof signal === 'number' && signal !== 0
    ? `Signal:${signal}`
    : `ExitCode:${fieldText(terminated, 'exitCode') ?? '0'}`;
}

function conditionIsTrue(status: KubeObject, type: string): boolean {
  return list(status, 'conditions').some(
    (condition) => text(condition, 'type') === type && text(condition, 'status') === 'True',
  );
}

class Restarts {
  readonly #count: number;
  /** When the last container that was restarted had ended; '' when none was. */
  readonly #lastAt: string;

  constructor(count: number, lastAt: string) {
    this.#count = count;
    this.#lastAt = lastAt;
  }

  with(container: KubeObject): Restarts {
    const count = container['restartCount'];
    const endedAt = text(child(child(container, 'lastState'), 'terminated'), 'finishedAt');
    return new Restarts(
      this.#count + (typeof count === 'number' ? count : 0),
      endedAt > this.#lastAt ? endedAt : this.#lastAt,
    );
  }

  text(nowMs: number): string {
    const { length } = this.#lastAt;
    return this.#count === 0 || length === 0
      ? `${this.#count}`
      : `${this.#count} (${ageText(this.#lastAt, nowMs)} ago)`;
  }
}
