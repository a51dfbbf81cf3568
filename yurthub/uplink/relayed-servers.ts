// The API servers by way of a node nearby: sought as soon as none can be reached otherwise, and left when this node's own way
// out has proved steady again, so that a link that flaps is not followed back and forth.
import type { Clock, Timer } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { ApiServer } from './api-server.ts';
import { newStanding, standingAfter, type ServerStanding, type SteadySettings } from './server-choice.ts';

export interface RelayedServersParts {
  readonly log: Log;
  readonly clock: Clock;
  /** In [0, 1): nodes of a site that were cut off together do not go back together. */
  readonly random: () => number;
  /** Each as `ApiServer` with a relay for its way; empty where there is none. */
  readonly servers: readonly ApiServer[];
  /** Asks this node's own ways for a sign of life: nothing goes over them that would show their silence. */
  readonly checkOwn: () => void;
}

const checkMs = 2_000;

export class RelayedServers {
  readonly #parts: RelayedServersParts;
  readonly #steady: SteadySettings;
  #own: ServerStanding;
  #inUse = false;
  #timer: Timer | undefined;

  /** `steady`: for how long this node's own way has to work before it is preferred again. */
  constructor(parts: RelayedServersParts, steady: SteadySettings) {
    this.#parts = parts;
    this.#steady = steady;
    this.#own = newStanding(parts.clock.monotonicMs());
  }

  /** Requests go there. */
  get reachable(): boolean {
    return this.#inUse && this.#found !== undefined;
  }

  /** The server for the next request, given the one that could be reached without a relay. */
  choose(own: ApiServer | undefined): ApiServer | undefined {
    return this.#inUse ? (this.#found ?? own) : own;
  }

  /** Whether it is likely to be needed at once: it is sought then, and nothing goes there yet. */
  prepare(isLikely: boolean): void {
    if (this.#inUse) return;
    for (const server of this.#parts.servers)
      if (isLikely) server.seek();
      else server.rest();
  }

  /** Whether an API server can be reached without a relay has changed. */
  ownChanged(reachable: boolean): void {
    const { clock, random, servers, log } = this.#parts;
    if (servers.length === 0) return;
    this.#own = standingAfter(this.#own, reachable ? 'reachable' : 'lost', clock.monotonicMs(), random(), this.#steady);
    this.#timer?.cancel();
    if (!reachable) {
      this.#inUse = true;
      for (const server of servers) server.seek();
    } else if (this.#found === undefined) this.#leave();
    else {
      const waitMs = Math.round(this.#own.trustedFromMs - clock.monotonicMs());
      log.info("this node's own way out works again; the relay is used until it has proved steady", { waitMs });
      this.#waitUntilSteady();
    }
  }

  stop(): void {
    this.#timer?.cancel();
  }

  get #found(): ApiServer | undefined {
    return this.#parts.servers.find(({ status }) => status === 'reachable');
  }

  #waitUntilSteady(): void {
    const { clock, checkOwn } = this.#parts;
    const waitMs = this.#own.trustedFromMs - clock.monotonicMs();
    this.#timer = clock.after(Math.min(waitMs, checkMs), () => {
      if (waitMs <= checkMs) this.#leave();
      else {
        checkOwn();
        this.#waitUntilSteady();
      }
    });
  }

  #leave(): void {
    this.#inUse = false;
    for (const server of this.#parts.servers) server.rest();
  }
}
