// The local port: a proxy on loopback, by which programs of this node reach targets in the cloud and at other sites through a tunnel
// server: CONNECT, and requests for http://. What they may reach, this agent's list and the server's say, each for itself.
import http, { type IncomingMessage } from 'node:http';
import type net from 'node:net';
import type { Duplex } from 'node:stream';
import { Backoff } from '../runtime/backoff.ts';
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import { carry, connectAnswers } from '../tunnel/client-connection.ts';
import { forwardRequest } from '../tunnel/forward-request.ts';
import { RefusedError } from '../tunnel/refusal.ts';
import { http2End } from '../tunnel/splice.ts';
import { formatTarget, parseTarget } from '../tunnel/target.ts';
import type { TargetRule } from '../tunnel/target-rules.ts';
import type { AgentMetrics } from './metrics.ts';
import type { Outgoing } from './outgoing.ts';

export interface LocalProxyParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly outgoing: Pick<Outgoing, 'open' | 'close'>;
  /** As Math.random. */
  readonly random: () => number;
}

export interface LocalProxySettings {
  /** On loopback. */
  readonly listen: Endpoint;
  readonly rules: readonly TargetRule[];
  readonly maxConnections: number;
}

const listenRetry = { firstMs: 1_000, longestMs: 15_000 };

export class LocalProxy {
  readonly #parts: LocalProxyParts;
  readonly #settings: LocalProxySettings;
  readonly #server: http.Server;

  constructor(parts: LocalProxyParts, settings: LocalProxySettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#server = http.createServer((request, response) => {
      void forwardRequest(request, response, (authority, gone) => this.#open(authority, gone));
    });
    this.#server.on('connect', (request: IncomingMessage, duplex: Duplex, head: Buffer) => {
      const socket = duplex as net.Socket;
      const reach = async (gone: AbortSignal) => http2End(await this.#open(request.url ?? '', gone));
      void carry({ socket, head }, reach, connectAnswers(socket));
    });
    this.#server.maxConnections = settings.maxConnections;
  }

  /** Serves until `signal` aborts; then open connections are cut. A port that cannot be had is tried again. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, clock, outgoing, random } = this.#parts;
    const backoff = new Backoff(listenRetry, random);
    while (!signal.aborted) {
      try {
        await this.#listen();
        await untilAborted(signal);
      } catch (error) {
        const problem = (error as Error).message;
        log.error('the local port cannot be opened; tried again', { port: this.#settings.listen.port, problem });
        await delay(clock, backoff.nextMs(), signal);
      }
    }
    outgoing.close();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  /** Undefined while it is not open. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  async #listen(): Promise<void> {
    const { host, port } = this.#settings.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  async #open(authority: string, gone: AbortSignal): ReturnType<Outgoing['open']> {
    const { metrics, outgoing } = this.#parts;
    try {
      const target = parseTarget(authority);
      // Pools of targets are for the server to know.
      if (!this.#settings.rules.some((rule) => rule.matches(target, undefined)))
        throw new RefusedError('policy', `no entry of localTargets allows ${formatTarget(target)}`);
      const stream = await outgoing.open(formatTarget(target), gone);
      metrics.localDial('connected');
      return stream;
    } catch (error) {
      metrics.localDial(error instanceof RefusedError ? error.reason : 'cancelled');
      throw error;
    }
  }
}
