// A small JSON client for the Kubernetes API, over TCP or through a unix socket that leads into a node.
import https from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import type { PemPair } from './certificates.ts';
import { ApiStatusError } from './errors.ts';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface ApiTarget {
  /** For example https://127.0.0.1:6443. */
  url: string;
  /** PEM of the CA that signed the server's certificate. */
  ca: string;
  /** Connect here instead of the URL's host and port. */
  socketPath?: string;
}

/** Of a service account. */
export interface BearerToken {
  readonly token: string;
}

export interface ApiRequestOptions {
  contentType?: string;
  accept?: string;
  timeoutMs?: number;
}

export interface ApiAnswer<T> {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: T;
}

export interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

export class ApiClient {
  readonly #target: ApiTarget;
  readonly #agent: https.Agent;
  readonly #token: string | undefined;

  constructor(target: ApiTarget, credential: PemPair | BearerToken) {
    this.#target = target;
    this.#token = 'token' in credential ? credential.token : undefined;
    this.#agent = new https.Agent({
      keepAlive: true,
      maxSockets: 16,
      ca: target.ca,
      ...('token' in credential ? {} : { cert: credential.certificate, key: credential.key }),
      // A socket into a node has no host to compare with; that the CA signed is checked all the same.
      ...(target.socketPath === undefined ? {} : { checkServerIdentity: () => undefined }),
    });
  }

  /** Closes its connections. */
  close(): void {
    this.#agent.destroy();
  }

  /** Rejects with ApiStatusError from 400 on. */
  async request<T = Json>(method: string, path: string, body?: unknown, options: ApiRequestOptions = {}): Promise<T> {
    const answer = await this.rawRequest(method, path, body, options);
    if (answer.status >= 400) throw new ApiStatusError(method, path, answer.status, answer.body.toString());
    return JSON.parse(answer.body.toString()) as T;
  }

  /** As request, whatever the status; the body as bytes. A Buffer or string as `body` is sent as it is. */
  rawRequest(
    method: string,
    path: string,
    body?: unknown,
    options: ApiRequestOptions = {},
  ): Promise<ApiAnswer<Buffer>> {
    const payload =
      body === undefined || Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body);
    const defaultType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
    return new Promise((resolve, reject) => {
      const timeout = options.timeoutMs ?? 30_000;
      const headers = {
        accept: options.accept ?? 'application/json',
        ...this.#authorization,
        ...(payload === undefined ? {} : { 'content-type': options.contentType ?? defaultType }),
      };
      const request = https.request(
        `${this.#target.url}${path}`,
        { ...this.#connection(), method, timeout, headers },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', reject);
          response.on('end', () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
          );
        },
      );
      request.on('timeout', () => request.destroy(new Error(`${method} ${path}: no answer within ${timeout} ms`)));
      request.on('error', reject);
      request.end(payload);
    });
  }

  /** Events of a watch, until the server ends it or `signal` aborts; both end the iteration without an error. */
  async *watch<T>(path: string, signal: AbortSignal): AsyncGenerator<WatchEvent<T>> {
    const url = `${this.#target.url}${path}${path.includes('?') ? '&' : '?'}watch=true`;
    const decoder = new StringDecoder('utf8');
    let rest = '';
    try {
      const response = await new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
        const request = https.get(
          url,
          { ...this.#connection(), signal, headers: { accept: 'application/json', ...this.#authorization } },
          resolve,
        );
        request.on('error', reject);
      });
      if ((response.statusCode ?? 0) >= 400) {
        response.resume();
        throw new ApiStatusError('WATCH', path, response.statusCode ?? 0, '');
      }
      for await (const chunk of response) {
        const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent<T>;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  get #authorization(): { authorization?: string } {
    return this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` };
  }

  #connection(): https.RequestOptions {
    const { socketPath } = this.#target;
    return { agent: this.#agent, ...(socketPath === undefined ? {} : { socketPath }) };
  }
}
