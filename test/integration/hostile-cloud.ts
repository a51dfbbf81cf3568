// An API server that misbehaves on demand. A fake, because the real one cannot be made to: it answers one collection of
// config maps by the rules (list, watch, 410) until a test tells it what to do instead.
import type http2 from 'node:http2';
import { FarEnd } from '../../yurthub/uplink/far-end.ts';

type Answer = (response: http2.Http2ServerResponse, request: http2.Http2ServerRequest) => void;

export const configMaps = '/api/v1/namespaces/default/configmaps';

export class HostileCloud {
  readonly farEnd: FarEnd;
  /** Path of the one collection that there is. */
  collection = configMaps;
  version = 100;
  readonly objects = new Map<string, object>();
  /** Times of requests in milliseconds, by kind. */
  readonly lists: number[] = [];
  readonly watches: number[] = [];
  /** In place of the answer by the rules. */
  onList: Answer | undefined;
  onWatch: Answer | undefined;
  onOther: Answer = (response) => sendJson(response, 404, status(404, 'NotFound'));
  readonly #open = new Set<http2.Http2ServerResponse>();

  private constructor(farEnd: FarEnd) {
    this.farEnd = farEnd;
    farEnd.handler = (request, response) => this.#handle(request, response);
  }

  static async start(): Promise<HostileCloud> {
    // What waits to be sent counts as memory of the session: beyond the default of 10 MB, Node refuses its next streams.
    return new HostileCloud(await FarEnd.start(() => undefined, { maxSessionMemory: 1_000 }));
  }

  get openWatches(): number {
    return this.#open.size;
  }

  put(name: string, padding = ''): void {
    const type = this.objects.has(name) ? 'MODIFIED' : 'ADDED';
    this.version += 1;
    const metadata = { name, namespace: 'default', uid: `uid-${name}`, resourceVersion: String(this.version) };
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { padding } };
    this.objects.set(name, object);
    this.send(`${JSON.stringify({ type, object })}\n`);
  }

  /** Tells all watches that their version is too old. */
  expire(): void {
    this.send(`${JSON.stringify({ type: 'ERROR', object: status(410, 'Expired') })}\n`);
  }

  send(chunk: string | Buffer): void {
    for (const response of this.#open) response.write(chunk);
  }

  listBody(): string {
    const metadata = { resourceVersion: String(this.version) };
    return JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata, items: [...this.objects.values()] });
  }

  async close(): Promise<void> {
    await this.farEnd.close();
  }

  #handle(request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void {
    const url = new URL(request.url, 'https://cloud');
    if (url.pathname === '/version') {
      sendJson(response, 200, { major: '1', minor: '34' });
    } else if (url.pathname !== this.collection || request.method !== 'GET') {
      this.onOther(response, request);
    } else if (url.searchParams.get('watch') === 'true') {
      this.watches.push(performance.now());
      (this.onWatch ?? this.watch)(response, request);
    } else if (url.searchParams.get('limit') === '1') {
      sendText(response, 200, this.listBody());
    } else {
      this.lists.push(performance.now());
      const asked = Number(url.searchParams.get('resourceVersion') ?? 0);
      if (this.onList !== undefined) this.onList(response, request);
      // What the real one says about a version that it has not reached.
      else if (asked > this.version) sendJson(response, 504, status(504, 'Timeout'));
      else sendText(response, 200, this.listBody());
    }
  }

  /** Stays open in silence. The real one does so also for a version that it has not reached. */
  readonly watch: Answer = (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    (response as unknown as http2.Http2ServerResponse & { flushHeaders(): void }).flushHeaders();
    this.#open.add(response);
    response.on('close', () => this.#open.delete(response));
  };
}

export function status(code: number, reason: string): object {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: `hostile: ${reason}`,
    reason,
    code,
  };
}

export function sendJson(
  response: http2.Http2ServerResponse,
  code: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function sendText(response: http2.Http2ServerResponse, code: number, body: string | Buffer): void {
  response.writeHead(code, { 'content-type': 'application/json' });
  response.end(body);
}
