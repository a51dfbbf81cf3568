// Where agents come in: TLS 1.3 with a client certificate that the cluster's CA signed, and nothing without one.
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Credentials } from '../tunnel/credential-files.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { alpnProtocol, outgoingProtocol } from '../tunnel/wire.ts';
import { AgentSession, type AgentSessionSettings } from './agent-session.ts';
import { nodeOf } from './identity.ts';
import type { RejectionReason, ServerMetrics } from './metrics.ts';
import type { OutgoingService } from './outgoing-service.ts';
import type { Registry } from './registry.ts';

export interface AgentListenerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  readonly registry: Registry;
  readonly outgoing: Pick<OutgoingService, 'isOn' | 'serve'>;
  /** Whether the cluster has such a node; undefined while that is not known. */
  readonly nodeExists: (name: string) => boolean | undefined;
}

export interface AgentListenerSettings {
  readonly session: AgentSessionSettings;
  readonly maxAgents: number;
}

const handshakeTimeoutMs = 10_000;
/** Connections whose handshake is not over, at a time. */
const maxUnknown = 1_000;

export class AgentListener {
  readonly #parts: AgentListenerParts;
  readonly #settings: AgentListenerSettings;
  readonly #server: tls.Server;
  /** Before they are registered. */
  readonly #young = new Set<tls.TLSSocket>();

  constructor(parts: AgentListenerParts, settings: AgentListenerSettings, credentials: Credentials) {
    this.#parts = parts;
    this.#settings = settings;
    this.#server = tls.createServer(
      {
        ...contextOf(credentials),
        requestCert: true,
        rejectUnauthorized: true,
        ALPNProtocols: [alpnProtocol, ...(parts.outgoing.isOn ? [outgoingProtocol] : [])],
        handshakeTimeout: handshakeTimeoutMs,
        noDelay: true,
        keepAlive: true,
      },
      (socket) => void this.#accept(socket),
    );
    // Who has not shown a certificate yet holds a descriptor all the same.
    const each = parts.outgoing.isOn ? 2 : 1;
    this.#server.maxConnections = settings.maxAgents * each + maxUnknown;
    this.#server.on('tlsClientError', (error, socket) => {
      parts.metrics.rejected('tls');
      parts.log.debug('TLS with an agent failed', { from: socket.remoteAddress, error: error.message });
    });
  }

  /** New connections are judged by these; those that stand stay. */
  use(credentials: Credentials): void {
    this.#server.setSecureContext(contextOf(credentials));
  }

  /** Rejects with TunnelError (ERR_TUNNEL_LISTEN). */
  async listen({ host, port }: Endpoint): Promise<AddressInfo> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(new TunnelError('ERR_TUNNEL_LISTEN', `listen ${host}:${port}: ${error.message}`, error)),
      );
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  /** No new agents; those that are registered stay. */
  close(): void {
    this.#server.close();
    for (const socket of this.#young) socket.destroy();
  }

  async #accept(socket: tls.TLSSocket): Promise<void> {
    const { log, clock, metrics, registry, outgoing, nodeExists } = this.#parts;
    const from = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
    socket.on('error', () => undefined);
    const reject = (reason: RejectionReason, fields: Readonly<Record<string, string>>): void => {
      metrics.rejected(reason);
      log.warn('an agent was turned away', { from, reason, ...fields });
      socket.destroy();
    };
    const certificate = socket.getPeerCertificate();
    const node = nodeOf(certificate.subject ?? {});
    if (node === undefined) return reject('identity', { subject: JSON.stringify(certificate.subject ?? null) });
    if (nodeExists(node) === false) return reject('unknown-node', { node });
    if (registry.connections >= this.#settings.maxAgents) return reject('limit', { node });
    const expiresMs = Date.parse(certificate.valid_to);
    if (socket.alpnProtocol === outgoingProtocol) {
      outgoing.serve(socket, node, expiresMs);
      return;
    }
    if (socket.alpnProtocol !== alpnProtocol) return reject('hello', { node });
    this.#young.add(socket);
    try {
      const session = await AgentSession.greet(
        socket,
        { clock, roundTrip: (durationMs) => metrics.roundTrip.observe(durationMs / 1000) },
        this.#settings.session,
        { node, remoteAddress: from, expiresMs },
      );
      const superseded = registry.register(session);
      if (superseded) metrics.superseded.inc();
      log.info('a node is connected', { node, from, version: session.version, superseded });
      void session.closed().then(() => log.info('a connection of a node ended', { node, from }));
    } catch (error) {
      reject('hello', { node, error: (error as Error).message });
    } finally {
      this.#young.delete(socket);
    }
  }
}

function contextOf({ certificate, key, ca }: Credentials): tls.SecureContextOptions {
  return { cert: certificate, key, ca, minVersion: 'TLSv1.3' };
}
