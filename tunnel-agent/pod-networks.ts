// Which networks this node's pods are in: those of the settings, else what the cluster gave the node (spec.podCIDRs). The API server
// is asked, with the node's own certificate, and not a tunnel server: that one must not widen what this agent lets through.
import { Backoff } from '../runtime/backoff.ts';
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { KubeApi } from '../tunnel/kube-api.ts';
import { Networks } from '../tunnel/target.ts';

interface NodeObject {
  readonly spec?: { readonly podCIDR?: string; readonly podCIDRs?: readonly string[] };
}

export interface PodNetworksParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly api: Pick<KubeApi, 'request'>;
  /** As Math.random. */
  readonly random: () => number;
}

const unknownRetry = { firstMs: 500, longestMs: 30_000 };
/** They never change while a Node lives, but a Node may be made anew. */
const askAgainMs = 600_000;

export class PodNetworks {
  readonly #parts: PodNetworksParts;
  readonly #path: string;
  #known = new Networks([]);
  #text = '';

  constructor(parts: PodNetworksParts, { nodeName }: { nodeName: string }) {
    this.#parts = parts;
    this.#path = `/api/v1/nodes/${nodeName}`;
  }

  has(host: string): boolean {
    return this.#known.has(host);
  }

  /** Until `signal` aborts; never rejects. What cannot be asked stays as it was. */
  async run(signal: AbortSignal): Promise<void> {
    const { api, clock, log, random } = this.#parts;
    const backoff = new Backoff(unknownRetry, random);
    let problemBefore = '';
    while (!signal.aborted) {
      let problem = '';
      try {
        const { spec = {} } = (await api.request('GET', this.#path, undefined, signal)) as NodeObject;
        const networks = spec.podCIDRs ?? (spec.podCIDR === undefined ? [] : [spec.podCIDR]);
        if (networks.length === 0)
          problem = 'the Node has no spec.podCIDR; where pods get addresses otherwise, set podNetworks';
        else this.#learn(networks);
      } catch (error) {
        problem = (error as Error).message;
      }
      if (signal.aborted) return;
      if (problem !== '' && problem !== problemBefore)
        log.warn("the networks of this node's pods are not known", { problem });
      problemBefore = problem;
      if (problem === '') backoff.reset();
      await delay(clock, problem === '' ? askAgainMs : backoff.nextMs(), signal);
    }
  }

  #learn(networks: readonly string[]): void {
    const text = networks.join();
    if (text === this.#text) return;
    this.#known = new Networks(networks);
    this.#text = text;
    this.#parts.log.info("the networks of this node's pods", { networks: text });
  }
}
