// Way in 1: the unix socket for kube-apiserver's EgressSelector (proxyProtocol HTTPConnect, transport uds). Who may open the
// socket may reach every node, so it belongs to the API server's user alone.
import { chmod, chown, mkdir, rename, rm, stat } from 'node:fs/promises';
import http from 'node:http';
import type net from 'node:net';
import path from 'node:path';
import { TunnelError } from '../tunnel/errors.ts';
import type { Connector } from './connector.ts';

export interface EgressSocketSettings {
  readonly path: string;
  /** User and group of kube-apiserver where it does not run as root. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
}

export class EgressSocket {
  readonly #settings: EgressSocketSettings;
  readonly #server: http.Server;
  #inode: number | undefined;

  constructor({ connector }: { connector: Connector }, settings: EgressSocketSettings) {
    this.#settings = settings;
    this.#server = http.createServer((_request, response) => {
      response.writeHead(405, { 'content-type': 'text/plain', allow: 'CONNECT' });
      response.end('only CONNECT\n');
    });
    this.#server.on('connect', (request, socket, head) => {
      void connector.connect({
        way: 'egress',
        authority: request.url ?? '',
        socket: socket as net.Socket,
        head,
        // Whoever can open the socket is the API server, and it has asked for the client's rights itself.
        allow: () => Promise.resolve(),
      });
    });
  }

  /**
   * Takes the path over from a server that is about to end: the socket appears in one step, with its mode, under a name that
   * the other may still hold. Rejects with TunnelError (ERR_TUNNEL_LISTEN).
   */
  async listen(): Promise<void> {
    const { path: file, owner } = this.#settings;
    const young = `${file}.${process.pid}`;
    try {
      await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
      await rm(young, { force: true });
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject);
        // A unix socket whose queue is full answers EAGAIN, which clients take for a failure; the kernel's limit bounds it.
        this.#server.listen({ path: young, backlog: 4096 }, resolve);
      });
      await chmod(young, 0o600);
      if (owner !== undefined) await chown(young, owner.uid, owner.gid);
      this.#inode = (await stat(young)).ino;
      await rename(young, file);
    } catch (error) {
      this.#server.close();
      await rm(young, { force: true });
      throw new TunnelError('ERR_TUNNEL_LISTEN', `egressSocket ${file}: ${(error as Error).message}`, error);
    }
  }

  /** No new connections; those that are open stay. Another server's socket at the same path stays as well. */
  async close(): Promise<void> {
    this.#server.close();
    const present = await stat(this.#settings.path).catch(() => undefined);
    if (present !== undefined && present.ino === this.#inode) await rm(this.#settings.path, { force: true });
  }
}
