// Keeps the port for peers where this node has its address, and away while it is in no pool.
import type { AddressInfo } from 'node:net';
import { delay } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import { PeerPort, peerPortLimits, type PeerPortParts } from './peer-port.ts';

const retryMs = 5_000;

export class Serving {
  readonly #parts: PeerPortParts;
  #at: Endpoint | undefined;
  #address: AddressInfo | undefined;
  #moved: () => void = () => undefined;

  constructor(parts: PeerPortParts) {
    this.#parts = parts;
  }

  /** Where peers come in now. */
  get address(): AddressInfo | undefined {
    return this.#address;
  }

  /** Where they are to come in from now on; undefined: nowhere. */
  move(at: Endpoint | undefined): void {
    if (at?.host === this.#at?.host && at?.port === this.#at?.port) return;
    this.#at = at;
    this.#moved();
  }

  /** Until `signal` aborts. Never rejects: an address that cannot be had is tried again. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, credentials, log } = this.#parts;
    let said = '';
    while (!signal.aborted) {
      using moved = new LinkedAbort(signal);
      this.#moved = () => moved.abort();
      const listen = this.#at;
      if (listen === undefined) {
        await untilAborted(moved.signal);
        continue;
      }
      const current = credentials.current();
      if (current === undefined) {
        await delay(clock, retryMs, moved.signal);
        continue;
      }
      const port = new PeerPort(this.#parts, { ...peerPortLimits, listen }, current);
      try {
        this.#address = await port.listen();
        log.info('peers are served', { address: this.#address.address, port: this.#address.port });
        said = '';
        await untilAborted(moved.signal);
      } catch (error) {
        const { message } = error as Error;
        if (message !== said) log.error('peers cannot be served', { problem: message });
        said = message;
        await delay(clock, retryMs, moved.signal);
      } finally {
        this.#address = undefined;
        await port.close();
      }
    }
    this.#moved = () => undefined;
  }
}
