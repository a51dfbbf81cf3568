// The few requests that the tunnel makes to the API server: lists, watches, reviews. Small on purpose: a client library
// costs more memory than a thousand agents (docs/decisions/0004).
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import { StringDecoder } from 'node:string_decoder';
import type { Kubeconfig, PemSource } from '../kube/kubeconfig.ts';
import { ApiRequestError } from './errors.ts';

export interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
}

/** A watch that says nothing for so long is broken: bookmarks come every minute. */
const watchSilenceMs = 150_000;
const requestTimeoutMs = 10_000;
const strategicMerge = 'application/strategic-merge-patch+json';

export class KubeApi {
  readonly #kubeconfig: Kubeconfig;
  readonly #agent = new https.Agent({ keepAlive: true, maxSockets: 16 });

  constructor(kubeconfig: Kubeconfig) {
    this.#kubeconfig = kubeconfig;
  }

  /** The answer as JSON. Rejects with ApiRequestError from status 300 on, and with the errors of the connection. */
  async request(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const response = await this.#send(method, path, body, requestTimeoutMs, signal);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const status = response.statusCode ?? 0;
    if (status >= 300)
      throw new ApiRequestError(status, `${method} ${path.split('?')[0]}: ${status} ${messageOf(text)}`);
    return JSON.parse(text) as unknown;
  }

  /** Events until the API server ends the watch. Rejects as `request` does. */
  async *watch(path: string, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const response = await this.#send('GET', path, undefined, watchSilenceMs, signal);
    const status = response.statusCode ?? 0;
    if (status >= 300) {
      response.destroy();
      throw new ApiRequestError(status, `watch ${path.split('?')[0]}: ${status}`);
    }
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for await (const chunk of response) {
      const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent;
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  /** Credentials are read at each request: they are renewed in their files. */
  #send(method: string, path: string, body: unknown, timeoutMs: number, signal: AbortSignal): Promise<IncomingMessage> {
    const { server, tlsServerName, certificateAuthority, clientCertificate, clientKey, token } = this.#kubeconfig;
    const bearer =
      token === undefined ? undefined : 'token' in token ? token.token : readFileSync(token.tokenFile, 'utf8').trim();
    return new Promise((resolve, reject) => {
      const request = https.request(
        new URL(path, server),
        {
          method,
          agent: this.#agent,
          signal,
          timeout: timeoutMs,
          ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
          ...(certificateAuthority === undefined ? {} : { ca: pemOf(certificateAuthority) }),
          ...(clientCertificate === undefined ? {} : { cert: pemOf(clientCertificate) }),
          ...(clientKey === undefined ? {} : { key: pemOf(clientKey) }),
          headers: {
            accept: 'application/json',
            ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }),
            ...(body === undefined ? {} : { 'content-type': method === 'PATCH' ? strategicMerge : 'application/json' }),
          },
        },
        resolve,
      );
      // Also while the body is read: the response is then destroyed with the error.
      request.on('timeout', () => request.destroy(new Error(`nothing from the API server for ${timeoutMs} ms`)));
      request.on('error', reject);
      request.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

function pemOf(source: PemSource): string {
  return 'pem' in source ? source.pem : readFileSync(source.file, 'utf8');
}

function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : '';
  } catch {
    return text.slice(0, 200);
  }
}
