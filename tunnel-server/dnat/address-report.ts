// Tells people about nodes whose addresses are not theirs alone: a condition on the Node, and an Event when it appears. Every
// server of the cluster says the same, so that it does not matter which of them does.
import { createHash } from 'node:crypto';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { ApiRequestError } from '../../tunnel/errors.ts';
import type { KubeApi } from '../../tunnel/kube-api.ts';
import { conditionType, planConditions, type ConditionChange, type ShownCondition } from './plan.ts';

export interface ReportedNode {
  readonly uid: string;
  readonly condition: ShownCondition | undefined;
}

export class AddressReport {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #api: KubeApi;
  /** What was written and may not have come back by the watch yet. */
  readonly #written = new Map<string, string>();
  #problem = '';

  constructor(parts: { log: Log; clock: Clock; api: KubeApi }) {
    this.#log = parts.log;
    this.#clock = parts.clock;
    this.#api = parts.api;
  }

  /** Writes what has changed; what could not be written is tried at the next call. Never rejects. */
  async write(
    conflicts: ReadonlyMap<string, string>,
    nodes: ReadonlyMap<string, ReportedNode>,
    signal: AbortSignal,
  ): Promise<void> {
    const shown = new Map([...nodes].map(([name, { condition }]) => [name, condition]));
    const changes = planConditions(conflicts, shown);
    const changing = new Set(changes.map(({ node }) => node));
    for (const node of this.#written.keys()) if (!changing.has(node)) this.#written.delete(node);
    for (const change of changes) {
      const key = `${change.status} ${change.message}`;
      if (this.#written.get(change.node) === key) continue;
      try {
        const node = nodes.get(change.node);
        await this.#writeCondition(change, node?.condition, signal);
        this.#written.set(change.node, key);
        const fields = { node: change.node, why: change.message };
        if (change.status === 'False') this.#log.info('the addresses of a node are its own again', fields);
        else {
          this.#log.warn('a node cannot be reached by its address', fields);
          await this.#writeEvent(change, node?.uid ?? '', signal);
        }
        this.#problem = '';
      } catch (error) {
        if (signal.aborted) return;
        const problem = (error as Error).message;
        if (problem !== this.#problem) this.#log.warn('a conflict of addresses cannot be reported', { problem });
        this.#problem = problem;
      }
    }
  }

  async #writeCondition(
    change: ConditionChange,
    former: ShownCondition | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const now = new Date(this.#clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const { node, status, reason, message } = change;
    const condition = {
      type: conditionType,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      ...(former?.status === status ? {} : { lastTransitionTime: now }),
    };
    // A strategic merge patch: conditions are merged by type, and the kubelet's own stay as they are.
    await this.#api.request('PATCH', `/api/v1/nodes/${node}/status`, { status: { conditions: [condition] } }, signal);
  }

  /** Where the kubelet's events about its node are. One name for one conflict: the other servers report it as well. */
  async #writeEvent({ node, reason, message }: ConditionChange, uid: string, signal: AbortSignal): Promise<void> {
    const now = new Date(this.#clock.wallMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const id = createHash('sha256').update(`${uid} ${message}`).digest('hex').slice(0, 16);
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${node}.${id}`, namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid },
      type: 'Warning',
      reason,
      message,
      source: { component: 'holdfast-tunnel-server' },
      firstTimestamp: now,
      lastTimestamp: now,
      count: 1,
    };
    try {
      await this.#api.request('POST', '/api/v1/namespaces/default/events', event, signal);
    } catch (error) {
      if (!(error instanceof ApiRequestError && error.status === 409)) throw error;
    }
  }
}
