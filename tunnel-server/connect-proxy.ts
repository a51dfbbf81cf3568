// Way in 2: a proxy over TLS for Prometheus (`proxy_url`) and for people: CONNECT, and requests for http:// as they are. A client shows a certificate of the cluster
// or a token, and reaches nodes, and pods on them, that it may `get` nodes/proxy of; nothing else, or it would be an open
// proxy into the network of the control plane.
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type tls from 'node:tls';
import type { Endpoint } from '../runtime/settings.ts';
import type { Credentials } from '../tunnel/credential-files.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { RefusedError } from '../tunnel/refusal.ts';
import type { Authorizer, ClientIdentity } from './authorizer.ts';
import type { Connector } from './connector.ts';
import { forwardRequest } from '../tunnel/forward-request.ts';
import { proxyToken } from './proxy-credential.ts';
import type { Route } from './route.ts';

export interface ConnectProxySettings {
  readonly listen: Endpoint;
  readonly maxConnections: number;
  /** Connections of one client, by its name, at a time. */
  readonly maxStreamsPerClient: number;
}

const headTimeoutMs = 10_000;

export class ConnectProxy {
  readonly #authorizer: Authorizer;
  readonly #settings: ConnectProxySettings;
  readonly #server: https.Server;
  readonly #streams = new Map<string, number>();

  constructor(
    parts: { connector: Connector; authorizer: Authorizer },
    settings: ConnectProxySettings,
    credentials: Credentials,
  ) {
    this.#authorizer = parts.authorizer;
    this.#settings = settings;
    this.#server = https.createServer(
      {
        ...contextOf(credentials),
        // A certificate is one of two ways; whether it is good is asked for at each request.
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
        handshakeTimeout: headTimeoutMs,
        headersTimeout: headTimeoutMs,
        allowHalfOpen: true,
        noDelay: true,
        keepAlive: true,
      },
      (request, response) => {
        const client: { name?: string } = {};
        void forwardRequest(request, response, (authority, gone) =>
          parts.connector.open(
            {
              way: 'proxy',
              authority,
              allow: (route, signal) => this.#allow(client, request, request.socket as tls.TLSSocket, route, signal),
            },
            gone,
          ),
        ).then(() => this.#left(client.name));
      },
    );
    this.#server.maxConnections = settings.maxConnections;
    this.#server.on('connect', (request: IncomingMessage, socket: tls.TLSSocket, head: Buffer) => {
      const client: { name?: string } = {};
      void parts.connector
        .connect({
          way: 'proxy',
          authority: request.url ?? '',
          socket,
          head,
          allow: (route, signal) => this.#allow(client, request, socket, route, signal),
        })
        .then(() => this.#left(client.name));
    });
  }

  /** Rejects with TunnelError (ERR_TUNNEL_LISTEN). */
  async listen(): Promise<AddressInfo> {
    const { host, port } = this.#settings.listen;
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(new TunnelError('ERR_TUNNEL_LISTEN', `proxyListen ${host}:${port}: ${error.message}`, error)),
      );
      this.#server.listen(port, host, resolve);
    });
    return this.#server.address() as AddressInfo;
  }

  /** New connections are judged by these. */
  use(credentials: Credentials): void {
    this.#server.setSecureContext(contextOf(credentials));
  }

  /** No new connections; those that are joined stay. */
  close(): void {
    this.#server.close();
    this.#server.closeIdleConnections();
  }

  async #allow(
    client: { name?: string },
    request: IncomingMessage,
    socket: tls.TLSSocket,
    route: Route,
    signal: AbortSignal,
  ): Promise<void> {
    const identity = await this.#identify(request, socket, signal);
    const { node } = route;
    if (node === undefined)
      throw new RefusedError(
        'policy',
        `${route.target.host} is neither a node nor a pod on one: this proxy leads nowhere else`,
      );
    await this.#authorizer.authorize(identity, node, signal);
    const open = this.#streams.get(identity.user) ?? 0;
    const { maxStreamsPerClient } = this.#settings;
    if (open >= maxStreamsPerClient)
      throw new RefusedError('limit', `${maxStreamsPerClient} connections of ${identity.user} are open already`);
    client.name = identity.user;
    this.#streams.set(identity.user, open + 1);
  }

  #left(name: string | undefined): void {
    if (name === undefined) return;
    const open = (this.#streams.get(name) ?? 1) - 1;
    if (open > 0) this.#streams.set(name, open);
    else this.#streams.delete(name);
  }

  /** A token that is shown counts, also beside a certificate: whoever sends one means it. */
  async #identify(request: IncomingMessage, socket: tls.TLSSocket, signal: AbortSignal): Promise<ClientIdentity> {
    const header = request.headers['proxy-authorization'];
    if (header !== undefined) {
      const token = proxyToken(header);
      if (token === undefined) throw new RefusedError('unauthenticated', 'Proxy-Authorization must be Bearer or Basic');
      return await this.#authorizer.identify(token, signal);
    }
    if (!socket.authorized)
      throw new RefusedError('unauthenticated', 'show a client certificate of the cluster, or a bearer token');
    const { CN: user, O: organization } = socket.getPeerCertificate().subject;
    if (typeof user !== 'string' || user === '')
      throw new RefusedError('unauthenticated', 'the client certificate has no common name');
    const groups = typeof organization === 'string' ? [organization] : (organization ?? []);
    return { user, groups: [...groups, 'system:authenticated'] };
  }
}

function contextOf({ certificate, key, ca }: Credentials): tls.SecureContextOptions {
  return { cert: certificate, key, ca, minVersion: 'TLSv1.2' };
}
