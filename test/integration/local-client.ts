// A client of the hub as a kubelet is one: HTTP/2, a client certificate, lists and watches that it reads frame by frame.
import http2 from 'node:http2';

export interface ClientOptions {
  readonly port: number;
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
  /** Sent with every request. */
  readonly token?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface WatchEvent {
  readonly type: string;
  readonly object: {
    readonly kind: string;
    readonly metadata: {
      readonly name?: string;
      readonly resourceVersion: string;
      readonly annotations?: Record<string, string>;
    };
    readonly [field: string]: unknown;
  };
}

export class LocalClient {
  readonly #session: http2.ClientHttp2Session;
  readonly #authorization: { readonly authorization?: string };

  constructor(options: ClientOptions) {
    this.#session = http2.connect(`https://127.0.0.1:${options.port}`, {
      ca: options.ca,
      ...(options.certificate === undefined ? {} : { cert: options.certificate, key: options.key }),
    });
    this.#authorization = options.token === undefined ? {} : { authorization: `Bearer ${options.token}` };
    // A broken session fails its requests; nothing else listens.
    this.#session.on('error', () => undefined);
  }

  async request(
    method: string,
    path: string,
    options: { body?: Buffer | string; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const stream = this.#session.request({
      ':method': method,
      ':path': path,
      accept: 'application/json',
      ...this.#authorization,
      ...options.headers,
    });
    stream.end(options.body);
    return await new Promise((resolve, reject) => {
      let headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader = {};
      const chunks: Buffer[] = [];
      stream.on('response', (head) => {
        headers = head;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      // A reset by CANCEL is no 'error', and looks like an end.
      stream.on('close', () => {
        if (stream.rstCode === http2.constants.NGHTTP2_NO_ERROR && headers[':status'] !== undefined)
          resolve({ status: Number(headers[':status']), headers, body: Buffer.concat(chunks) });
        else reject(new Error(`${method} ${path}: the answer broke off (code ${stream.rstCode})`));
      });
    });
  }

  /** GET of JSON; throws unless 200. */
  async get<T>(path: string): Promise<T> {
    const answer = await this.request('GET', path);
    if (answer.status !== 200) throw new Error(`GET ${path}: ${answer.status} ${answer.body.toString()}`);
    return JSON.parse(answer.body.toString()) as T;
  }

  async watch(path: string): Promise<LocalWatch> {
    const stream = this.#session.request({ ':path': path, accept: 'application/json', ...this.#authorization });
    stream.end();
    const watch = new LocalWatch(stream);
    await watch.opened;
    return watch;
  }

  /** A request as a stream, for clients that read or send in a way of their own. */
  stream(headers: http2.OutgoingHttpHeaders, endStream = true): http2.ClientHttp2Stream {
    return this.#session.request({ accept: 'application/json', ...this.#authorization, ...headers }, { endStream });
  }

  close(): void {
    this.#session.destroy();
  }
}

/** A JSON watch: its events as they come. */
export class LocalWatch {
  readonly events: WatchEvent[] = [];
  readonly opened: Promise<number>;
  ended = false;
  readonly #stream: http2.ClientHttp2Stream;
  #text = '';
  #wake: () => void = () => undefined;

  constructor(stream: http2.ClientHttp2Stream) {
    this.#stream = stream;
    this.opened = new Promise((resolve, reject) => {
      stream.on('response', (headers) => resolve(Number(headers[':status'])));
      stream.on('error', reject);
    });
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => this.#take(text));
    stream.on('close', () => {
      this.ended = true;
      this.#wake();
    });
  }

  /** The first event from `from` on that fits; waits for it. Throws when the watch ends before. */
  async until(fits: (event: WatchEvent) => boolean, from = 0): Promise<WatchEvent> {
    for (let at = from; ; at += 1) {
      while (at >= this.events.length) {
        if (this.ended) throw new Error(`the watch ended; it had ${JSON.stringify(this.summary())}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
      const event = this.events[at];
      if (event !== undefined && fits(event)) return event;
    }
  }

  /** `TYPE name` of each event, bookmarks left out. */
  summary(): string[] {
    return this.events
      .filter((event) => event.type !== 'BOOKMARK')
      .map((event) => `${event.type} ${event.object.metadata.name ?? ''}`);
  }

  stop(): void {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL);
  }

  #take(text: string): void {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) this.events.push(JSON.parse(line) as WatchEvent);
    this.#wake();
  }
}
