// What this node's kubelet says of itself, by its health port on loopback: peers may not ask a kubelet, so the port for peers
// tells them. Asked when somebody asks, over a connection that is kept, and not more often than every other second, however often
// it is asked for.
import http from 'node:http';
import type { Clock } from '../runtime/clock.ts';
import type { Endpoint } from '../runtime/settings.ts';

/** ok: it says so. failing: it says that it is not. silent: it does not answer, or does not run. */
export const kubeletStates = ['ok', 'failing', 'silent'] as const;
export type KubeletState = (typeof kubeletStates)[number];

const rememberedMs = 2_000;
const timeoutMs = 1_000;

export class LocalKubelet {
  readonly #clock: Clock;
  readonly #address: Endpoint;
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  #last: Promise<KubeletState> | undefined;
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { clock: Clock }, address: Endpoint) {
    this.#clock = parts.clock;
    this.#address = address;
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Never rejects. */
  state(): Promise<KubeletState> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#last !== undefined && nowMs - this.#askedMs < rememberedMs) return this.#last;
    this.#askedMs = nowMs;
    this.#last = this.#ask();
    return this.#last;
  }

  #ask(): Promise<KubeletState> {
    const { host, port } = this.#address;
    return new Promise((resolve) => {
      let state: KubeletState = 'silent';
      const request = http.get({ host, port, path: '/healthz', agent: this.#agent }, (response) => {
        response.resume();
        state = response.statusCode === 200 ? 'ok' : 'failing';
      });
      const timer = this.#clock.after(timeoutMs, () => request.destroy());
      // What is wrong with it is that it did not answer.
      request.on('error', () => undefined);
      request.on('close', () => {
        timer.cancel();
        resolve(state);
      });
    });
  }
}
