// Health, metrics and listings for operators, in plain HTTP: nothing here is secret, and nothing can be changed.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListenError } from './errors.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import type { Endpoint } from './settings.ts';

export interface OpsParts {
  readonly log: Log;
  readonly metrics: Metrics;
  /** Whether the process does its work now: /readyz. A list says what is missing for that, a line each; an empty one is ready. */
  readonly ready: () => boolean | readonly string[];
  /** Further paths, each a listing that is written as JSON. */
  readonly listings: Readonly<Record<string, () => unknown>>;
}

export class Ops {
  readonly #parts: OpsParts;
  readonly #server: http.Server;

  constructor(parts: OpsParts) {
    this.#parts = parts;
    this.#server = http.createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        parts.log.error('an ops request failed', { error: String(error) });
        response.destroy();
      });
    });
    this.#server.maxConnections = 64;
    this.#server.requestTimeout = 10_000;
  }

  /** Resolves with the address. Rejects with ListenError. */
  async listen({ host, port }: Endpoint): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(new ListenError(`opsListen ${host}:${port}: ${error.message}`, error)),
      );
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { metrics, ready, listings } = this.#parts;
    const path = (request.url ?? '').split('?')[0] ?? '';
    const send = (status: number, body: string, contentType = 'text/plain; charset=utf-8'): void => {
      response.writeHead(status, { 'content-type': contentType, 'x-content-type-options': 'nosniff' });
      response.end(request.method === 'HEAD' ? undefined : body);
    };
    const listing = Object.hasOwn(listings, path) ? listings[path] : undefined;
    if (!['/healthz', '/readyz', '/metrics'].includes(path) && listing === undefined) send(404, 'not found\n');
    else if (request.method !== 'GET' && request.method !== 'HEAD') send(405, 'method not allowed\n');
    else if (listing !== undefined) send(200, `${JSON.stringify(listing(), null, 1)}\n`, 'application/json');
    else if (path === '/metrics') send(200, await metrics.text(), metrics.contentType);
    // That this line runs is what /healthz says.
    else if (path === '/healthz') send(200, 'ok');
    else {
      const answer = ready();
      const missing = typeof answer === 'boolean' ? [] : answer;
      if (answer === true || (answer !== false && missing.length === 0)) send(200, 'ok');
      else send(503, ['not ready', ...missing, ''].join('\n'));
    }
  }
}
