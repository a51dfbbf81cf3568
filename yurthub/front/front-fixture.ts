// For tests: a front on port 0 with a cluster CA of its own, and the certificates of clients good and bad.
import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import http2, { type ClientHttp2Session, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import https from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Clock } from '../../runtime/clock.ts';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { alwaysValid, generateKeyPair, issueCertificate, privateKeyPem } from '../../runtime/x509/certificate.ts';
import type { CertificateTemplate, Issuer } from '../../runtime/x509/certificate.ts';
import { Front, frontDefaults, type FrontParts, type FrontSettings } from './front.ts';
import { hubCertificates, type HubCertificates } from './hub-ca.ts';
import type { Peer } from './identity.ts';
import { FrontMetrics } from './metrics.ts';

export interface ClientCredential {
  readonly cert: string;
  readonly key: string;
}

export const lastCentury = { notBefore: new Date('1990-01-01'), notAfter: new Date('1999-01-01') };
export const nextCentury = { notBefore: new Date('2101-01-01'), notAfter: new Date('2199-01-01') };

/** A new key and its certificate, signed by itself when there is no issuer. */
export function credential(template: CertificateTemplate, issuer?: Issuer): ClientCredential {
  const { publicKey, privateKey } = generateKeyPair();
  const cert = issueCertificate(template, publicKey, issuer ?? { subject: template.subject, privateKey });
  return { cert, key: privateKeyPem(privateKey) };
}

export class TestAuthority {
  readonly #subject = { commonName: 'kubernetes', organizations: ['kubernetes'] };
  readonly #keys = generateKeyPair();
  readonly #issuer = { subject: this.#subject, privateKey: this.#keys.privateKey };
  /** PEM */
  readonly pem = issueCertificate(
    { subject: this.#subject, ...alwaysValid, usage: 'ca', names: [] },
    this.#keys.publicKey,
    this.#issuer,
  );
  readonly certificate = new X509Certificate(this.pem);

  client(
    options: {
      commonName?: string;
      organization?: string;
      validity?: { notBefore: Date; notAfter: Date };
      usage?: 'client' | 'server';
    } = {},
  ): ClientCredential {
    const subject = {
      commonName: options.commonName ?? 'system:node:edge-1',
      organizations: [options.organization ?? 'system:nodes'],
    };
    const usage = options.usage ?? 'client';
    return credential({ subject, ...(options.validity ?? alwaysValid), usage, names: ['127.0.0.1'] }, this.#issuer);
  }
}

export interface FrontFixture {
  readonly front: Front;
  readonly port: number;
  readonly authority: TestAuthority;
  readonly certificates: HubCertificates;
  /** From the same CA, the serving certificate for these addresses. */
  readonly certificatesFor: (addresses: readonly string[]) => Promise<HubCertificates>;
  readonly metrics: Metrics;
  readonly node: ClientCredential;
  /** How often the peer process was asked for. */
  readonly peerQuestions: () => number;
  readonly stop: () => Promise<void>;
}

export async function startFront(
  handler: FrontParts['handler'],
  options: {
    settings?: Partial<FrontSettings>;
    dialRaw?: FrontParts['dialRaw'];
    clock?: Clock;
    peer?: Peer;
    own?: ClientCredential;
  } = {},
): Promise<FrontFixture> {
  const dataDir = await mkdtemp(path.join(tmpdir(), 'holdfast-front-'));
  const authority = new TestAuthority();
  const node = authority.client();
  const metrics = new Metrics();
  const clock = options.clock ?? systemClock;
  const certificatesFor = (addresses: readonly string[]): Promise<HubCertificates> =>
    hubCertificates({ log: nullLog, clock }, { dataDir, nodeName: 'edge-1', addresses });
  const certificates = await certificatesFor(['127.0.0.1']);
  const own = new X509Certificate((options.own ?? node).cert);
  let peerQuestions = 0;
  const front = new Front(
    {
      log: nullLog,
      metrics: new FrontMetrics(metrics),
      clock,
      certificates,
      trust: { current: () => Promise.resolve({ clientCas: [authority.certificate], own }) },
      peers: {
        find: () => {
          peerQuestions += 1;
          return Promise.resolve(options.peer ?? 'unknown');
        },
      },
      run: () => Promise.resolve(),
      handler,
      dialRaw: options.dialRaw ?? (() => Promise.reject(new Error('no upstream in this test'))),
    },
    {
      ...frontDefaults,
      nodeName: 'edge-1',
      listen: [{ host: '127.0.0.1', port: 0 }],
      manageLinkLocal: false,
      drainMs: 300,
      ...options.settings,
    },
  );
  const abort = new AbortController();
  const done = front.run(abort.signal);
  await front.started();
  const port = front.addresses[0]?.port ?? 0;
  const stop = async (): Promise<void> => {
    abort.abort();
    await done;
    await rm(dataDir, { recursive: true, force: true });
  };
  const given = { authority, certificates, certificatesFor, metrics, node };
  return { front, port, ...given, peerQuestions: () => peerQuestions, stop };
}

/** An HTTP/2 client of the front. */
export function h2Connect(fixture: FrontFixture, client: Partial<ClientCredential> = fixture.node): ClientHttp2Session {
  const session = http2.connect(`https://127.0.0.1:${fixture.port}`, {
    ca: fixture.certificates.caCertificate,
    ...client,
  });
  session.on('error', () => undefined);
  return session;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: Record<string, unknown>;
}

/** A whole exchange by HTTP/2. Rejects if the stream was reset. */
export function h2Request(session: ClientHttp2Session, headers: OutgoingHttpHeaders, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let head: IncomingHttpHeaders = {};
    let trailers: Record<string, unknown> = {};
    const chunks: Buffer[] = [];
    stream.on('response', (given) => (head = given));
    stream.on('trailers', (given) => (trailers = { ...given }));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      if (stream.rstCode !== 0) reject(new Error(`reset ${stream.rstCode}`));
      resolve({ status: Number(head[':status'] ?? 0), headers: head, body: Buffer.concat(chunks), trailers });
    });
    if (body !== undefined) stream.end(body);
  });
}

/** A whole exchange by HTTP/1.1. Rejects if the answer is cut short. */
export function h1Request(
  fixture: FrontFixture,
  options: https.RequestOptions & { body?: Buffer } = {},
  client: Partial<ClientCredential> = fixture.node,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: '127.0.0.1',
        port: fixture.port,
        ca: fixture.certificates.caCertificate,
        agent: false,
        ...client,
        ...options,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
            trailers: { ...response.trailers },
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}

/** A promise and the way to settle it. */
export function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  return Promise.withResolvers<T>();
}
