// Keeps a connection to one tunnel server: connects, replaces a path that is suspect before it is closed, and comes back
// after every loss. At most one connection takes new streams; older ones end with their last stream.
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import { Backoff, type BackoffSettings } from '../runtime/backoff.ts';
import type { CredentialFiles } from '../tunnel/credential-files.ts';
import { formatTarget } from '../tunnel/target.ts';
import type { AgentMetrics } from './metrics.ts';
import { dialTcp, within, type ServerAddress } from './dial-server.ts';
import { ServerConnection, type ConnectParts, type ConnectSettings } from './server-connection.ts';

export interface LinkParts extends ConnectParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly credentials: CredentialFiles;
  /** As Math.random. */
  readonly random: () => number;
  /** False when another link holds a connection to this server already: two addresses of one server. */
  claim(link: ServerLink, connection: ServerConnection): boolean;
  /** Called when a connection came up or went. */
  changed(): void;
}

export interface LinkSettings {
  readonly connect: ConnectSettings;
  readonly backoff: BackoffSettings;
  /** Before an address that turned out to be a second one of a server is tried again. */
  readonly duplicateRetryMs: number;
  /** How often this node's own way to a server is tried while a detour is used. */
  readonly ownWayRetryMs: number;
}

/** Old connections whose streams have not ended; beyond that the oldest is closed. */
const maxRetired = 4;

export class ServerLink {
  readonly address: ServerAddress;
  readonly #parts: LinkParts;
  readonly #settings: LinkSettings;
  readonly #backoff: Backoff;
  readonly #retired: ServerConnection[] = [];
  #current: ServerConnection | undefined;
  #renew = false;
  #lastProblem = '';
  #seeking: Promise<unknown> = Promise.resolve();
  #wake: () => void = () => undefined;

  constructor(parts: LinkParts, settings: LinkSettings, address: ServerAddress) {
    this.#parts = parts;
    this.#settings = settings;
    this.address = address;
    this.#backoff = new Backoff(settings.backoff, parts.random);
  }

  /** The connection that takes new streams, suspect or not; undefined when there is none. */
  get connection(): ServerConnection | undefined {
    return this.#current?.isClosed === false ? this.#current : undefined;
  }

  get isConnected(): boolean {
    return this.#current?.isGood ?? false;
  }

  /** Connects anew with what the credential files hold now; the old connection ends with its last stream. */
  renew(): void {
    this.#renew = true;
    this.#wake();
  }

  /** Until `signal` aborts: then open streams are cut, since nobody is left to serve them. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, metrics } = this.#parts;
    while (!signal.aborted) {
      if (this.isConnected && !this.#renew) {
        await this.#untilNeeded(signal);
        continue;
      }
      const outcome = await this.#attempt(signal);
      if (signal.aborted) break;
      metrics.connect(outcome);
      if (outcome === 'connected') continue;
      const { duplicateRetryMs } = this.#settings;
      const waitMs = outcome === 'duplicate' ? duplicateRetryMs * (1 + this.#parts.random()) : this.#backoff.nextMs();
      await delay(clock, waitMs, signal);
    }
    const left = [...this.#retired, ...(this.#current === undefined ? [] : [this.#current])];
    for (const connection of left) connection.destroy();
    await Promise.all([this.#seeking, ...left.map((connection) => connection.closed())]);
  }

  async #attempt(signal: AbortSignal): Promise<'connected' | 'failed' | 'duplicate'> {
    const { log, credentials, metrics } = this.#parts;
    const server = formatTarget(this.address);
    // The kubelet renews its certificate without telling anybody.
    credentials.refresh();
    this.#renew = false;
    try {
      const fresh = await ServerConnection.open(
        this.#parts,
        this.#settings.connect,
        this.address,
        credentials.current,
        {
          suspect: (isSuspect) => {
            if (isSuspect) {
              metrics.suspicions.inc();
              log.info('the path to a server is silent', { server });
            }
            this.#changed();
          },
          roundTrip: (durationMs) => metrics.roundTrip.set(durationMs / 1000),
          over: () => this.#changed(),
        },
        signal,
      );
      if (!this.#parts.claim(this, fresh)) {
        fresh.retire();
        this.#keepRetired(fresh);
        return 'duplicate';
      }
      const old = this.#current;
      this.#current = fresh;
      if (old !== undefined) {
        old.retire();
        this.#keepRetired(old);
      }
      this.#backoff.reset();
      this.#lastProblem = '';
      log.info(old === undefined ? 'connected to a server' : 'a connection to a server was replaced', {
        server,
        detour: fresh.isDetour,
      });
      if (fresh.isDetour) this.#seeking = Promise.all([this.#seeking, this.#seekOwnWay(fresh, signal)]);
      this.#changed();
      return 'connected';
    } catch (error) {
      const problem = (error as Error).message;
      if (!signal.aborted && problem !== this.#lastProblem) log.warn('a server cannot be reached', { server, problem });
      this.#lastProblem = problem;
      return 'failed';
    }
  }

  /** While `connection`, made by a detour, is in use; then another one takes its place, and it ends with its last stream. */
  async #seekOwnWay(connection: ServerConnection, signal: AbortSignal): Promise<void> {
    const { clock, proxy } = this.#parts;
    const { ownWayRetryMs, connect } = this.#settings;
    for (;;) {
      await delay(clock, ownWayRetryMs, signal);
      if (signal.aborted || this.#current !== connection || connection.isClosed) return;
      try {
        const probe = await within(clock, connect.tcpTimeoutMs, 'no TCP connection', signal, (abort) =>
          dialTcp(proxy, this.address, abort),
        );
        probe.destroy();
      } catch {
        continue; // still gone
      }
      if (this.#current === connection) this.renew();
      return;
    }
  }

  #keepRetired(connection: ServerConnection): void {
    if (connection.isClosed) return;
    this.#retired.push(connection);
    void connection.closed().then(() => {
      const index = this.#retired.indexOf(connection);
      if (index !== -1) this.#retired.splice(index, 1);
    });
    if (this.#retired.length > maxRetired) this.#retired[0]?.destroy();
  }

  #changed(): void {
    this.#wake();
    this.#parts.changed();
  }

  /** Until the present connection is no longer enough. */
  async #untilNeeded(signal: AbortSignal): Promise<void> {
    using linked = new LinkedAbort(signal);
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (signal.aborted || this.#renew || !this.isConnected) resolve();
      };
      this.#wake = look;
      linked.signal.addEventListener('abort', look, { once: true });
      look();
    });
    this.#wake = () => undefined;
  }
}
