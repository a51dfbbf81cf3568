// A Kubernetes client that adds nothing: one HTTP/2 connection, JSON, no retries, no relists. What it sees is what the
// server sent, so that the demo and tests can show it.
import http2 from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { KubeObject } from '../kube/wire.ts';

export interface PlainReply {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  /** The JSON body; {} when it is something else. */
  readonly object: KubeObject;
}

export interface PlainEvent {
  readonly type: string;
  readonly object: KubeObject;
}

export interface PlainRequest {
  readonly method?: string;
  readonly body?: KubeObject;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface PlainTarget {
  /** https://HOST:PORT */
  readonly url: string;
  readonly caPem: string;
  readonly credential: { readonly token: string } | { readonly certificatePem: string; readonly privateKeyPem: string };
}

export class PlainClient {
  readonly #session: ClientHttp2Session;
  readonly #headers: Readonly<Record<string, string>>;
  #requestCount = 0;

  constructor({ url, caPem, credential }: PlainTarget) {
    const hasToken = 'token' in credential;
    this.#headers = hasToken ? { authorization: `Bearer ${credential.token}` } : {};
    const pair = hasToken ? {} : { cert: credential.certificatePem, key: credential.privateKeyPem };
    this.#session = http2.connect(url, { ca: caPem, ...pair });
    // Each stream fails with the connection's error as well; this one would end the process.
    this.#session.on('error', () => undefined);
  }

  /** A whole exchange. Rejects when the connection is lost or `signal` aborts. */
  async request(path: string, options: PlainRequest = {}, signal?: AbortSignal): Promise<PlainReply> {
    const stream = this.#open(path, options, signal);
    const head = await headOf(stream);
    const text = Buffer.concat(await Array.fromAsync(stream as AsyncIterable<Buffer>)).toString();
    return { statusCode: Number(head[':status']), headers: head, object: parsed(text) };
  }

  /** Opens a watch. Rejects when the connection is lost before the head; a refusal is a watch with its `statusCode`. */
  async watch(path: string, options: PlainRequest = {}): Promise<PlainWatch> {
    const stream = this.#open(path, options);
    const head = await headOf(stream);
    return new PlainWatch(stream, Number(head[':status']));
  }

  /** Requests and watches that were begun. */
  get requestCount(): number {
    return this.#requestCount;
  }

  close(): void {
    this.#session.destroy();
  }

  #open(path: string, { method = 'GET', body, headers = {} }: PlainRequest, signal?: AbortSignal): ClientHttp2Stream {
    this.#requestCount += 1;
    const stream = this.#session.request(
      {
        ':path': path,
        ':method': method,
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...this.#headers,
        ...headers,
      },
      // Left to itself node:http2 takes it that DELETE has no body.
      { endStream: body === undefined, ...(signal === undefined ? {} : { signal }) },
    );
    if (body !== undefined) stream.end(JSON.stringify(body));
    return stream;
  }
}

/** The events of one watch, in the order of their arrival. */
export class PlainWatch {
  readonly statusCode: number;
  readonly #stream: ClientHttp2Stream;
  readonly #events: PlainEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #rest = '';
  #isOpen = true;

  constructor(stream: ClientHttp2Stream, statusCode: number) {
    this.statusCode = statusCode;
    this.#stream = stream;
    stream.setEncoding('utf8');
    stream.on('data', (chunk: string) => this.#push(chunk));
    // How it ended does not matter here: that it is no longer open is what callers ask.
    stream.on('error', () => undefined);
    stream.once('close', () => {
      this.#isOpen = false;
      this.#wake();
    });
  }

  /** All events so far. */
  get events(): readonly PlainEvent[] {
    return this.#events;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Resolves once `condition` holds for the events so far: true; false when the watch ended or `signal` aborted first. */
  async until(condition: (events: readonly PlainEvent[]) => boolean, signal?: AbortSignal): Promise<boolean> {
    for (;;) {
      if (condition(this.#events)) return true;
      if (!this.#isOpen || signal?.aborted === true) return false;
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          this.#waiting.delete(wake);
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal?.addEventListener('abort', wake, { once: true });
      });
    }
  }

  /** Leaves the watch; resolves when the stream is closed. */
  async close(): Promise<void> {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL);
    await this.until(() => false);
  }

  #push(chunk: string): void {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') this.#events.push(parsed(line) as unknown as PlainEvent);
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
  }
}

async function headOf(stream: ClientHttp2Stream): Promise<IncomingHttpHeaders & { ':status'?: number }> {
  return await new Promise((resolve, reject) => {
    stream.once('response', resolve);
    stream.once('error', reject);
    stream.once('close', () => reject(new Error('the connection closed before an answer came')));
  });
}

function parsed(text: string): KubeObject {
  try {
    return JSON.parse(text) as KubeObject;
  } catch {
    return {};
  }
}
