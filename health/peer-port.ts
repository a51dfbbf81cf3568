// The port for peers, on the node's own address: TLS 1.3, certificates of nodes on both sides. It offers probes and the relay,
// nothing else.
import { constants } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { PeerCredentialFiles, PeerCredentials } from './credentials.ts';
import { PeerError } from './errors.ts';
import type { HealthMetrics, Rejection } from './metrics.ts';
import { judgeCertificate } from './node-certificate.ts';
import { PeerConversation } from './peer-conversation.ts';
import { writeAnswer, type ProbeAnswer } from './probe-answer.ts';

export interface PeerPortParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: HealthMetrics;
  readonly credentials: PeerCredentialFiles;
  /** What this node says of itself to the verified peer `node`. */
  readonly answer: (node: string) => Promise<ProbeAnswer>;
  /** Takes over the connection of a verified peer that asks to be let through to `authority`; `head`: what it sent behind that. */
  readonly relay: (node: string, authority: string, socket: Socket, head: Buffer) => void;
}

export interface PeerPortSettings {
  readonly listen: Endpoint;
  /** Connections at a time, those without a certificate yet included; and of one address. */
  readonly maxConnections: number;
  readonly maxPerAddress: number;
}

export const peerPortLimits: Omit<PeerPortSettings, 'listen'> = { maxConnections: 600, maxPerAddress: 150 };

const handshakeTimeoutMs = 3_000;

export class PeerPort {
  readonly #parts: PeerPortParts;
  readonly #settings: PeerPortSettings;
  readonly #server: tls.Server;
  readonly #sockets = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();
  #stopListening: (() => void) | undefined;

  constructor(parts: PeerPortParts, settings: PeerPortSettings, credentials: PeerCredentials) {
    this.#parts = parts;
    this.#settings = settings;
    const server = tls.createServer({
      ...contextOf(credentials),
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: handshakeTimeoutMs,
      noDelay: true,
      keepAlive: true,
    });
    server.maxConnections = settings.maxConnections;
    server.on('connection', (socket: Socket) => this.#connection(socket));
    server.on('drop', () => parts.metrics.rejected('limit'));
    server.on('secureConnection', (socket) => this.#secure(socket));
    server.on('tlsClientError', (error, socket) => {
      parts.metrics.rejected('tls');
      parts.log.debug('TLS with a peer failed', { from: socket.remoteAddress, error: error.message });
      socket.destroy();
    });
    this.#server = server;
  }

  /** Rejects with PeerError (ERR_PEER_LISTEN). */
  async listen(): Promise<AddressInfo> {
    const { host, port } = this.#settings.listen;
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void =>
        reject(new PeerError('ERR_PEER_LISTEN', `peerListen ${host}:${port}: ${error.message}`, error));
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        // Nothing that a peer does ends the process.
        this.#server.on('error', (error) => this.#parts.log.error('the port for peers', { error: error.message }));
        resolve();
      });
    });
    // Connections that stand were judged when they were made; new ones are judged by the newest files.
    this.#stopListening = this.#parts.credentials.onChange((fresh) => this.#server.setSecureContext(contextOf(fresh)));
    return this.#server.address() as AddressInfo;
  }

  async close(): Promise<void> {
    this.#stopListening?.();
    if (!this.#server.listening) return;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      for (const socket of this.#sockets) socket.destroy();
    });
  }

  #connection(socket: Socket): void {
    // Looks at the files: a peer with a certificate of a new CA never gets as far as to be judged by the old one.
    this.#parts.credentials.current();
    const from = socket.remoteAddress ?? '';
    const open = (this.#byAddress.get(from) ?? 0) + 1;
    socket.on('error', () => undefined);
    if (open > this.#settings.maxPerAddress) {
      this.#parts.metrics.rejected('limit');
      socket.destroy();
      return;
    }
    this.#byAddress.set(from, open);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#byAddress.get(from) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(from);
      else this.#byAddress.set(from, left);
    });
  }

  #secure(socket: tls.TLSSocket): void {
    const { clock, credentials, log } = this.#parts;
    const verdict = judgeCertificate({
      certificate: socket.getPeerX509Certificate(),
      clientCas: credentials.current()?.clientCas ?? [],
      nowMs: clock.wallMs(),
    });
    socket.on('error', () => undefined);
    if ('fault' in verdict) {
      this.#reject(verdict.fault, socket);
      return;
    }
    const { node } = verdict;
    log.debug('a peer is connected', { peer: node });
    // Who it is holds no longer than its certificate.
    const timer = clock.after(Math.min(verdict.expiresMs - clock.wallMs(), 2 ** 31 - 1), () => socket.destroy());
    socket.once('close', () => timer.cancel());
    const answer = (): Promise<Buffer> => this.#answer(node);
    const relay = (authority: string, head: Buffer): void => this.#parts.relay(node, authority, socket, head);
    new PeerConversation({ clock, answer, relay }, socket);
  }

  #reject(reason: Rejection, socket: tls.TLSSocket): void {
    this.#parts.metrics.rejected(reason);
    this.#parts.log.warn('a peer was turned away', { from: socket.remoteAddress, reason });
    socket.destroy();
  }

  async #answer(node: string): Promise<Buffer> {
    const { answer, metrics, log } = this.#parts;
    try {
      const body = writeAnswer(await answer(node));
      metrics.answered.inc();
      return body;
    } catch (error) {
      log.error('a probe could not be answered', { error: String(error) });
      throw error;
    }
  }
}

function contextOf({ certificate, key, ca }: PeerCredentials): tls.SecureContextOptions {
  // Without session tickets: each connection proves anew who its peer is, by the CA of now.
  return { cert: certificate, key, ca, minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET };
}
