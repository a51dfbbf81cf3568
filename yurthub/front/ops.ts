// Health and metrics for the node's own tools, in plaintext on loopback only: nothing here is secret, and nothing of the API is here.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Log } from '../../runtime/log.ts';
import type { Metrics } from '../../runtime/metrics.ts';
import { FrontError } from '../errors.ts';
import type { Endpoint } from '../../runtime/settings.ts';

/** Named conditions of readiness; each is asked at every request and must be cheap. */
export type ReadyChecks = Readonly<Record<string, () => boolean>>;

export class Ops {
  readonly #parts: { readonly log: Log; readonly metrics: Metrics; readonly ready: ReadyChecks };
  readonly #settings: { readonly opsListen: Endpoint };
  #address: AddressInfo | undefined;
  readonly #waiters: (() => void)[] = [];

  constructor(
    parts: { readonly log: Log; readonly metrics: Metrics; readonly ready: ReadyChecks },
    settings: { readonly opsListen: Endpoint },
  ) {
    this.#parts = parts;
    this.#settings = settings;
  }

  get address(): AddressInfo | undefined {
    return this.#address;
  }

  /** Resolves when connections are accepted. */
  started(): Promise<void> {
    return this.#address === undefined ? new Promise((resolve) => this.#waiters.push(resolve)) : Promise.resolve();
  }

  /** Serves until `signal` aborts. Rejects with FrontError if the address is not on loopback or cannot be listened on. */
  async run(signal: AbortSignal): Promise<void> {
    const { host, port } = this.#settings.opsListen;
    if (!host.startsWith('127.') && host !== '::1')
      throw new FrontError('ERR_FRONT_LISTEN', `opsListen ${host} is not a loopback address`, undefined);
    const server = http.createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        this.#parts.log.error('an ops request failed', { error: String(error) });
        response.destroy();
      });
    });
    server.maxConnections = 64;
    server.requestTimeout = 10_000;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) =>
        reject(new FrontError('ERR_FRONT_LISTEN', `the ops port ${host}:${port} cannot be listened on`, error)),
      );
      server.listen(port, host, resolve);
    });
    this.#address = server.address() as AddressInfo;
    for (const waiter of this.#waiters.splice(0)) waiter();
    await new Promise<void>((resolve) => {
      const stop = (): void => {
        server.close(() => resolve());
        server.closeAllConnections();
      };
      if (signal.aborted) stop();
      else signal.addEventListener('abort', stop, { once: true });
    });
    this.#address = undefined;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path, query = ''] = (request.url ?? '').split('?');
    const send = (status: number, body: string, contentType = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': contentType, 'x-content-type-options': 'nosniff' });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    const isKnown = path === '/healthz' || path === '/readyz' || path === '/metrics';
    if (!isKnown) send(404, 'not found\n');
    else if (request.method !== 'GET' && request.method !== 'HEAD') send(405, 'method not allowed\n');
    else if (path === '/metrics') send(200, await this.#parts.metrics.text(), this.#parts.metrics.contentType);
    else {
      // That this line runs is what /healthz says.
      const checks =
        path === '/readyz' ? Object.entries(this.#parts.ready).map(([name, check]) => [name, check()] as const) : [];
      const ok = checks.every(([, passed]) => passed);
      const lines = [['ping', true] as const, ...checks].map(
        ([name, passed]) => `[${passed ? '+' : '-'}]${name} ${passed ? 'ok' : 'failed'}\n`,
      );
      const isVerbose = new URLSearchParams(query).has('verbose');
      send(
        ok ? 200 : 503,
        ok && !isVerbose ? 'ok' : `${lines.join('')}${path.slice(1)} check ${ok ? 'passed' : 'failed'}\n`,
      );
    }
  }
}
