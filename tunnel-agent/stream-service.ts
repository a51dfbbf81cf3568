// What the agent serves on a connection to a tunnel server: the hello, and a TCP connection for each CONNECT that its policy
// allows.
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { headerText, RefusedError, refusalOf, refuseStream } from '../tunnel/refusal.ts';
import { http2End, splice } from '../tunnel/splice.ts';
import { formatTarget, parseTarget } from '../tunnel/target.ts';
import { helloPath, versionHeader } from '../tunnel/wire.ts';
import { decideDial, type DialPolicy } from './dial-policy.ts';
import type { AgentMetrics } from './metrics.ts';
import { ReadBlocks } from './read-blocks.ts';
import { ReadTurns } from './read-turns.ts';
import { TargetSocket } from './target-socket.ts';

export interface StreamServiceParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: AgentMetrics;
  readonly policy: DialPolicy;
}

export interface StreamServiceSettings {
  readonly version: string;
  readonly dialTimeoutMs: number;
  /** Connections at a time, over all servers. */
  readonly maxStreams: number;
}

export class StreamService {
  readonly #parts: StreamServiceParts;
  readonly #settings: StreamServiceSettings;
  readonly #blocks = new ReadBlocks();
  #open = 0;

  constructor(parts: StreamServiceParts, settings: StreamServiceSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get openStreams(): number {
    return this.#open;
  }

  /** Serves a session until it closes. `hello` is called with the headers of each hello, once its answer has been sent. */
  serve(session: ServerHttp2Session, hello: (headers: IncomingHttpHeaders) => void): void {
    const turns = new ReadTurns(this.#parts);
    session.on('stream', (stream, headers) => {
      // A stream that the server resets reports an error; what it means is told by 'close'.
      stream.on('error', () => undefined);
      if (headers[':method'] === 'CONNECT') void this.#connect(stream, String(headers[':authority'] ?? ''), turns);
      else if (headers[':method'] === 'GET' && headers[':path'] === helloPath) {
        stream.resume();
        stream.once('close', () => hello(headers));
        stream.respond({ ':status': 200, [versionHeader]: headerText(this.#settings.version) }, { endStream: true });
      } else {
        stream.resume();
        stream.respond({ ':status': 404 }, { endStream: true });
      }
    });
  }

  /** Never rejects. */
  async #connect(stream: ServerHttp2Stream, authority: string, turns: ReadTurns): Promise<void> {
    const { metrics, log } = this.#parts;
    this.#open += 1;
    metrics.streams.set(this.#open);
    try {
      const target = await this.#dial(authority, stream, turns);
      if (target === undefined) {
        metrics.dial('cancelled');
        return;
      }
      metrics.dial('connected');
      stream.respond({ ':status': 200 });
      const result = await splice(http2End(stream), target.end());
      metrics.bytes(result.forthBytes, result.backBytes);
    } catch (error) {
      const refusal = error instanceof RefusedError ? error : new RefusedError('failed', String(error), error);
      metrics.dial(refusal.reason);
      log.debug('a connection was refused', { target: authority, reason: refusal.reason, why: refusal.message });
      refuseStream(stream, refusal);
    } finally {
      this.#open -= 1;
      metrics.streams.set(this.#open);
    }
  }

  /** Undefined when the server gave up meanwhile. Rejects with RefusedError. */
  async #dial(authority: string, stream: ServerHttp2Stream, turns: ReadTurns): Promise<TargetSocket | undefined> {
    const target = parseTarget(authority);
    if (this.#open > this.#settings.maxStreams)
      throw new RefusedError('limit', `${this.#settings.maxStreams} connections through this agent are open already`);
    const decision = decideDial(target, this.#parts.policy);
    if (!decision.allowed) throw new RefusedError('policy', `the agent does not allow ${authority}: ${decision.why}`);
    const { dialTimeoutMs } = this.#settings;
    return await new Promise((resolve, reject) => {
      const dialled = new TargetSocket({ blocks: this.#blocks, turns }, decision.dial);
      const { socket } = dialled;
      const timer = this.#parts.clock.after(dialTimeoutMs, () =>
        settle(() =>
          reject(new RefusedError('timeout', `dial ${formatTarget(target)}: no answer in ${dialTimeoutMs} ms`)),
        ),
      );
      const settle = (end: () => void, keep = false): void => {
        timer.cancel();
        stream.off('close', cancelled);
        socket.off('error', failed);
        socket.off('connect', connected);
        socket.on('error', () => undefined);
        if (!keep) socket.destroy();
        end();
      };
      const cancelled = (): void => settle(() => resolve(undefined));
      const failed = (error: Error): void => settle(() => reject(refusalOf(error, formatTarget(target))));
      const connected = (): void => settle(() => resolve(dialled), true);
      stream.once('close', cancelled);
      socket.once('error', failed);
      socket.once('connect', connected);
      if (stream.destroyed) cancelled();
    });
  }
}
