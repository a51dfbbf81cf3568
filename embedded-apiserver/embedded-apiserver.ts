// A small API server in this process: real HTTP and real list and watch semantics over objects in memory, for
// `npm start` and for fast tests. What Kubernetes does is judged by the real kube-apiserver, never by this one.
import { once } from 'node:events';
import type { Http2SecureServer, ServerHttp2Session } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { TcpRelay } from '../runtime/tcp-relay.ts';
import type { Fault } from '../runtime/tcp-relay.ts';
import type { Clock } from '../runtime/clock.ts';
import { alwaysValid, generateKeyPair, issueCertificate, privateKeyPem } from '../runtime/x509/certificate.ts';
import type { CertificateTemplate, Issuer } from '../runtime/x509/certificate.ts';
import type { KubeObject } from '../kube/wire.ts';
import { ApiRoutes } from './api-routes.ts';
import { Authenticator } from './authentication.ts';
import { createListener } from './listener.ts';
import type { ApiAnswer, ApiCall } from './listener.ts';
import { metadataOf, text } from '../kube/plain-object.ts';
import { objectKey, ObjectStore } from './object-store.ts';
import { groupVersionOf, resourceKinds } from './resource-kinds.ts';
import type { ResourceKind } from './resource-kinds.ts';
import { Writes } from './writes.ts';

export interface EmbeddedSettings {
  /** 0 takes a free one. */
  readonly port: number;
  /** How many writes a watch can resume from. */
  readonly historySize: number;
  readonly bookmarkIntervalMs: number;
  /** How many requests are remembered in `requests`. */
  readonly requestLogSize: number;
}

export const embeddedDefaults: EmbeddedSettings = {
  port: 0,
  historySize: 1000,
  bookmarkIntervalMs: 60_000,
  requestLogSize: 1000,
};

export interface Certificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface LoggedRequest {
  readonly method: string;
  readonly target: string;
  readonly user: string;
}

/** The bearer token that authenticates as a member of system:masters, for clients without a certificate. */
export const adminToken = 'embedded-admin-token';

export class EmbeddedApiserver {
  readonly #settings: EmbeddedSettings;
  readonly #store: ObjectStore;
  readonly #writes: Writes;
  readonly #authenticator = new Authenticator();
  readonly #issuer: Issuer;
  readonly #server: Http2SecureServer;
  readonly #listening = Promise.withResolvers<void>();
  readonly #requests: LoggedRequest[] = [];
  #relay: TcpRelay | undefined;
  /** Of the throw-away CA that signs the server's certificate and those of its clients. */
  readonly caPem: string;

  constructor({ clock }: { clock: Clock }, settings: EmbeddedSettings = embeddedDefaults) {
    this.#settings = settings;
    this.#store = new ObjectStore(settings);
    this.#writes = new Writes({ store: this.#store, clock, namespaces: kindOf('v1', 'Namespace') });
    const caKeys = generateKeyPair();
    const subject = { commonName: 'embedded-apiserver-ca', organizations: [] };
    this.#issuer = { subject, privateKey: caKeys.privateKey };
    const ca = { subject, ...alwaysValid, usage: 'ca', names: [] } as const;
    this.caPem = issueCertificate(ca, caKeys.publicKey, this.#issuer);
    this.#authenticator.addToken(adminToken, {
      name: 'embedded-admin',
      groups: ['system:masters', 'system:authenticated'],
    });
    const serving = this.#issue(
      'server',
      'kube-apiserver',
      [],
      ['localhost', '127.0.0.1', '::1', 'kubernetes.default'],
    );
    const routes = new ApiRoutes(
      { store: this.#store, writes: this.#writes, authenticator: this.#authenticator, clock },
      settings,
    );
    this.#server = createListener(
      { key: serving.privateKeyPem, cert: serving.certificatePem, ca: this.caPem },
      this.#authenticator,
      (call) => this.#handle(routes, call),
    );
    // Whoever runs the server learns of a failure to listen from `run`.
    this.#listening.promise.catch(() => undefined);
    for (const name of ['default', 'kube-system', 'kube-node-lease', 'kube-public'])
      this.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }

  /** Serves until `signal` aborts, then ends every connection. Rejects when the port cannot be had. */
  async run(signal: AbortSignal): Promise<void> {
    const sockets = new Set<Socket>();
    const sessions = new Set<ServerHttp2Session>();
    this.#server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    this.#server.on('session', (session) => {
      sessions.add(session);
      session.on('error', () => undefined);
      session.once('close', () => sessions.delete(session));
    });
    try {
      this.#server.listen(0, '127.0.0.1');
      await once(this.#server, 'listening');
      // Clients come through a relay, so that this server can be cut off like any other.
      const { port } = this.#server.address() as AddressInfo;
      this.#relay = new TcpRelay({ host: '127.0.0.1', port }, this.#settings);
      await this.#relay.listen();
      this.#listening.resolve();
      if (!signal.aborted) await once(signal, 'abort');
    } catch (error) {
      this.#listening.reject(error);
      throw error;
    } finally {
      await this.#relay?.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      if (this.#server.listening) await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    }
  }

  /** Resolves once `url` can be used. */
  get listening(): Promise<void> {
    return this.#listening.promise;
  }

  get url(): string {
    return `https://127.0.0.1:${this.#relay?.port ?? 0}`;
  }

  /** Oldest first, at most `requestLogSize`. */
  get requests(): readonly LoggedRequest[] {
    return this.#requests;
  }

  /** The resourceVersion of the last write. */
  get resourceVersion(): string {
    return String(this.#store.version);
  }

  /** A client certificate of this server's CA. */
  clientCertificate(user: string, groups: readonly string[]): Certificate {
    return this.#issue('client', user, groups, []);
  }

  /** Cuts every client off; see `Fault`. Only while the server runs. */
  async cut(fault: Fault): Promise<void> {
    await this.#relay?.cut(fault);
  }

  async heal(): Promise<void> {
    await this.#relay?.heal();
  }

  /** Forgets the history: a watch that resumes from before now gets 410. */
  compact(): void {
    this.#store.compact();
  }

  /** Creates the object or replaces it, status included, as a controller would; returns it as stored. */
  apply(object: KubeObject): KubeObject {
    const kind = kindOf(text(object, 'apiVersion'), text(object, 'kind'));
    const name = text(metadataOf(object), 'name');
    const namespace = kind.namespaced ? text(metadataOf(object), 'namespace') || 'default' : '';
    const current = this.#store.get(kind, objectKey(namespace, name));
    if (current === undefined) return this.#writes.create(kind, namespace, object);
    return this.#store.write(kind, objectKey(namespace, name), {
      ...object,
      metadata: { ...metadataOf(current), ...metadataOf(object) },
    });
  }

  /** The object as it stands, undefined when there is none. Namespace '' for cluster-scoped kinds. */
  read(apiVersion: string, kind: string, namespace: string, name: string): KubeObject | undefined {
    return this.#store.get(kindOf(apiVersion, kind), objectKey(namespace, name));
  }

  /** Deletes at once, whatever finalizers and kubelets would say. Removing what is not there does nothing. */
  remove(apiVersion: string, kind: string, namespace: string, name: string): void {
    const found = kindOf(apiVersion, kind);
    const key = objectKey(namespace, name);
    if (this.#store.get(found, key) !== undefined) this.#store.write(found, key, undefined);
  }

  #handle(routes: ApiRoutes, call: ApiCall): ApiAnswer {
    this.#requests.push({ method: call.method, target: call.target, user: call.user.name });
    if (this.#requests.length > this.#settings.requestLogSize) this.#requests.shift();
    return routes.answer(call);
  }

  #issue(usage: CertificateTemplate['usage'], user: string, groups: readonly string[], names: string[]): Certificate {
    const keys = generateKeyPair();
    const subject = { commonName: user, organizations: groups };
    return {
      certificatePem: issueCertificate({ subject, ...alwaysValid, usage, names }, keys.publicKey, this.#issuer),
      privateKeyPem: privateKeyPem(keys.privateKey),
    };
  }
}

function kindOf(apiVersion: string, kind: string): ResourceKind {
  const found = resourceKinds.find((known) => known.kind === kind && groupVersionOf(known) === apiVersion);
  if (found === undefined) throw new TypeError(`the embedded API server knows no ${apiVersion} ${kind}`);
  return found;
}
