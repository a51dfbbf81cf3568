// For tests: a real TLS server in the place of an API server, HTTP/1.1 and HTTP/2 on one port, and what a local client
// of the hub would be. Only what is at the far end is made up.
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { requestInfo } from '../../kube/request-info.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { alwaysValid, generateKeyPair, issueCertificate, privateKeyPem } from '../../runtime/x509/certificate.ts';
import { BodyTooLargeError } from '../errors.ts';
import type { Headers, HubRequest, HubResponse, Identity } from '../types.ts';
import type { CredentialFiles } from './credentials.ts';
import { Credentials } from './credentials.ts';
import { noRelay, type RelayWay } from './relay.ts';
import { HubUplink } from './hub-uplink.ts';
import { uplinkMetrics } from './metrics.ts';
import { defaultUplinkSettings, type UplinkSettings } from './settings.ts';

export type FarHandler = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse) => void;

const caKey = generateKeyPair();
const caSubject = { commonName: 'test CA', organizations: [] };
export const caPem = issueCertificate({ subject: caSubject, ...alwaysValid, usage: 'ca', names: [] }, caKey.publicKey, {
  subject: caSubject,
  privateKey: caKey.privateKey,
});

/** Certificate and key in PEM, signed by the test CA. */
export function issue(
  commonName: string,
  usage: 'server' | 'client',
  validity: { notBefore: Date; notAfter: Date } = alwaysValid,
): { cert: string; key: string } {
  const pair = generateKeyPair();
  const cert = issueCertificate(
    { subject: { commonName, organizations: [] }, ...validity, usage, names: usage === 'server' ? ['127.0.0.1'] : [] },
    pair.publicKey,
    { subject: caSubject, privateKey: caKey.privateKey },
  );
  return { cert, key: privateKeyPem(pair.privateKey) };
}

export class FarEnd {
  readonly #server: http2.Http2SecureServer;
  readonly sockets = new Set<TLSSocket>();
  readonly sessions = new Set<http2.ServerHttp2Session>();
  /** Common names of the client certificates, one per connection, '' for none. */
  readonly clients: string[] = [];
  handler: FarHandler;
  readyz: FarHandler = (_request, response) => response.end('ok');

  private constructor(handler: FarHandler, options: http2.SecureServerOptions) {
    this.handler = handler;
    this.#server = http2.createSecureServer({
      ...issue('kube-apiserver', 'server'),
      ca: caPem,
      requestCert: true,
      rejectUnauthorized: false,
      allowHTTP1: true,
      ...options,
    });
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      this.sockets.add(socket);
      this.clients.push(String(socket.getPeerCertificate().subject?.CN ?? ''));
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
    });
    this.#server.on('session', (session) => {
      this.sessions.add(session);
      session.on('close', () => this.sessions.delete(session));
      session.on('error', () => undefined);
    });
    this.#server.on('request', (request, response) => {
      if (request.url === '/readyz') this.readyz(request, response);
      else this.handler(request, response);
    });
    this.#server.on('sessionError', () => undefined);
    this.#server.on('tlsClientError', () => undefined);
  }

  static async start(handler: FarHandler, options: http2.SecureServerOptions = {}): Promise<FarEnd> {
    const farEnd = new FarEnd(handler, options);
    farEnd.#server.listen(0, '127.0.0.1');
    await once(farEnd.#server, 'listening');
    return farEnd;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `https://127.0.0.1:${this.port}`;
  }

  /** Every connection at once, as a crash does; new ones are still accepted. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Resolves when no connection is left. */
  async quiet(): Promise<void> {
    for (const socket of this.sockets) await once(socket, 'close');
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const session of this.sessions) session.destroy();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }
}

/**
 * Times so small that tests wait for events and not for them, and so large where silence is judged that a machine that stalls is not taken
 * for a silent path: the far end stalls with it. Tests of silence say how long they wait.
 */
export const quickSettings = {
  ...defaultUplinkSettings,
  dialTimeoutMs: 5_000,
  unansweredMs: 100,
  pingTimeoutMs: 60_000,
  startTimeoutMs: 60_000,
  forgottenMs: 60_000,
  probeMinMs: 20,
  probeMaxMs: 40,
};

export class TestUplink {
  readonly metrics = new Metrics();
  readonly folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-uplink-'));
  readonly files: CredentialFiles;
  readonly credentials: Credentials;
  readonly uplink: HubUplink;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  /** `identity`: CA, certificate and key in PEM, of another authority than the tests' own. */
  constructor(
    apiServers: readonly string[],
    settings: Partial<UplinkSettings> = {},
    identity: { ca: string; cert: string; key: string } = { ca: caPem, ...issue('system:node:edge1', 'client') },
    relay: RelayWay = noRelay,
  ) {
    this.files = {
      certificateAuthorityFile: path.join(this.folder, 'ca.crt'),
      clientCertificateFile: path.join(this.folder, 'client.pem'),
      clientKeyFile: path.join(this.folder, 'client.pem'),
    };
    writeFileSync(this.files.certificateAuthorityFile, identity.ca);
    writeFileSync(this.files.clientCertificateFile, `${identity.cert}\n${identity.key}`);
    const parts = { log: nullLog, clock: systemClock, metrics: uplinkMetrics(this.metrics) };
    this.credentials = new Credentials(parts, this.files);
    this.uplink = new HubUplink(
      { ...parts, credentials: this.credentials, random: Math.random, relay },
      { ...quickSettings, ...settings, apiServers },
    );
  }

  async start(): Promise<this> {
    await this.credentials.load();
    this.#running = this.uplink.run(this.#stop.signal);
    return this;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Looks again until a series has this value. */
  async metricIs(series: string, value: number): Promise<void> {
    while ((await this.metric(series)) !== value) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Asks again, whatever fails, until the answer is `text`. */
  async answers(ask: () => Promise<string>, text: string): Promise<void> {
    while ((await ask().catch(() => '')) !== text) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  /** Resolves when the cloud is as asked. */
  async cloud(reachable: boolean): Promise<void> {
    if (this.uplink.cloud.reachable === reachable) return;
    await new Promise<void>((resolve) => {
      const stop = this.uplink.onCloudChange((state) => {
        if (state.reachable !== reachable) return;
        stop();
        resolve();
      });
    });
  }

  /** The value of one line of the exposition text. */
  async metric(line: string): Promise<number> {
    const text = await this.metrics.text();
    return Number(
      text
        .split('\n')
        .find((candidate) => candidate.startsWith(`${line} `))
        ?.slice(line.length + 1),
    );
  }

  /** The values of a label for which a counter is not zero. */
  async labels(name: string, label: string): Promise<string[]> {
    const lines = (await this.metrics.text()).matchAll(new RegExp(`^${name}{${label}="([^"]*)"} (.*)$`, 'gm'));
    return [...lines].filter(([, , value]) => value !== '0').map(([, value]) => value ?? '');
  }
}

export function hubRequest(
  target: string,
  options: { method?: string; headers?: Headers; body?: Readable; signal?: AbortSignal; kind?: Identity['kind'] } = {},
): HubRequest {
  const method = options.method ?? 'GET';
  const body = options.body ?? null;
  return {
    method,
    target,
    headers: options.headers ?? {},
    info: requestInfo(method, target),
    identity: options.kind === 'bearer' ? { kind: 'bearer' } : { kind: 'node', nodeName: 'edge1' },
    body,
    signal: options.signal ?? new AbortController().signal,
    async readBody(maxBytes) {
      const chunks: Buffer[] = [];
      for await (const chunk of body ?? []) chunks.push(chunk as Buffer);
      const whole = Buffer.concat(chunks);
      if (whole.length > maxBytes) throw new BodyTooLargeError(maxBytes);
      return whole;
    },
  };
}

/** A local client that takes what it is given, or nothing at all. */
export class RecordedResponse extends EventEmitter<{ head: []; data: []; over: [] }> implements HubResponse {
  readonly interims: [number, Headers][] = [];
  readonly chunks: Buffer[] = [];
  statusCode = 0;
  headers: Headers = {};
  trailers: Headers | undefined;
  outcome: 'open' | 'ended' | 'aborted' = 'open';
  queuedBytes = 0;
  maxQueuedBytes = 0;
  reading: boolean;
  receivedBytes = 0;
  readonly #drains: (() => void)[] = [];

  constructor(options: { reading: boolean } = { reading: true }) {
    super();
    this.reading = options.reading;
  }

  get headSent(): boolean {
    return this.statusCode !== 0;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  interim(statusCode: number, headers: Headers): void {
    this.interims.push([statusCode, headers]);
  }

  head(statusCode: number, headers: Headers): void {
    this.statusCode = statusCode;
    this.headers = headers;
    this.emit('head');
  }

  write(chunk: Buffer): boolean {
    this.receivedBytes += chunk.length;
    if (this.reading) this.chunks.push(chunk);
    else this.queuedBytes += chunk.length;
    this.maxQueuedBytes = Math.max(this.maxQueuedBytes, this.queuedBytes);
    this.emit('data');
    return this.queuedBytes === 0;
  }

  onDrain(listener: () => void): void {
    this.#drains.push(listener);
  }

  /** Takes what is queued. */
  drain(): void {
    this.queuedBytes = 0;
    for (const listener of this.#drains) listener();
  }

  end(chunk?: Buffer, trailers?: Headers): void {
    if (this.outcome !== 'open') throw new Error(`ended after ${this.outcome}`);
    if (chunk !== undefined) this.write(chunk);
    this.trailers = trailers;
    this.outcome = 'ended';
    this.emit('over');
  }

  abort(): void {
    if (this.outcome !== 'open') throw new Error(`aborted after ${this.outcome}`);
    this.outcome = 'aborted';
    this.emit('over');
  }
}
