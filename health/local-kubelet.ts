// What this node's kubelet says of itself, by its health port on loopback: peers may not ask a kubelet, so the port for peers
// tells them. Asked when somebody asks, over a connection that is kept, and not again for a while, however often it is asked for.
import { once } from 'node:events';
import net from 'node:net';
import type { Clock } from '../runtime/clock.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { KeptConnection } from './kept-connection.ts';

/** ok: it says so. failing: it says that it is not. silent: it does not answer, or does not run. */
export const kubeletStates = ['ok', 'failing', 'silent'] as const;
export type KubeletState = (typeof kubeletStates)[number];

/** A kubelet that is well is taken for well so long: peers take three looks to call it sick, and none is in a hurry. */
const rememberedOkMs = 4_000;
const rememberedMs = 1_000;
const timeoutMs = 1_000;

export class LocalKubelet {
  readonly #clock: Clock;
  readonly #connection: KeptConnection;
  readonly #closed = new AbortController();
  #asking: Promise<KubeletState> | undefined;
  #last: KubeletState = 'silent';
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(parts: { clock: Clock }, address: Endpoint) {
    this.#clock = parts.clock;
    this.#connection = new KeptConnection(
      { clock: parts.clock, open: (limitMs, signal) => connect(parts.clock, address, limitMs, signal) },
      { who: 'the kubelet', path: '/healthz', maxBodyBytes: 64 << 10, maxAgeMs: Number.POSITIVE_INFINITY },
    );
  }

  close(): void {
    this.#closed.abort();
    this.#connection.close();
  }

  /** Never rejects. */
  state(): Promise<KubeletState> {
    const ageMs = this.#clock.monotonicMs() - this.#askedMs;
    if (this.#asking !== undefined) return this.#asking;
    if (ageMs < (this.#last === 'ok' ? rememberedOkMs : rememberedMs)) return Promise.resolve(this.#last);
    this.#askedMs = this.#clock.monotonicMs();
    this.#asking = this.#ask().then((state) => {
      this.#last = state;
      this.#asking = undefined;
      return state;
    });
    return this.#asking;
  }

  async #ask(): Promise<KubeletState> {
    try {
      const { status } = await this.#connection.ask(timeoutMs, this.#closed.signal);
      return status === 200 ? 'ok' : 'failing';
    } catch {
      // What is wrong with it is that it did not answer.
      return 'silent';
    }
  }
}

async function connect(clock: Clock, address: Endpoint, limitMs: number, signal: AbortSignal): Promise<net.Socket> {
  const socket = net.connect(address);
  // For the life of the socket; whoever asks sees 'close'.
  socket.on('error', () => undefined);
  // A process that hangs with a full queue lets nobody in, and refuses nobody.
  const timer = clock.after(limitMs, () => socket.destroy(new Error('no answer')));
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    timer.cancel();
  }
}
