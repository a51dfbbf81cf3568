// A verified connection to a tunnel server: TCP, directly or through an HTTP proxy, and TLS 1.3 with the node's certificate.
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Endpoint } from '../runtime/settings.ts';
import type { Credentials } from '../tunnel/credential-files.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { connectThroughProxy, type HttpProxy } from './http-proxy.ts';

/** Where a server is, and by which name its certificate is judged. */
export interface ServerAddress extends Endpoint {
  readonly serverName: string;
}

/** `alpn`: what the server has to speak. Rejects with the error of TCP, TLS or the proxy, with TunnelError, or as `signal` says. */
export async function secure(
  tcp: net.Socket,
  { serverName }: ServerAddress,
  { certificate, key, ca }: Credentials,
  alpn: string,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  const socket = tls.connect({
    socket: tcp,
    ca,
    cert: certificate,
    key,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [alpn],
    ...(net.isIP(serverName) === 0 ? { servername: serverName } : {}),
    checkServerIdentity: (_host, presented) => tls.checkServerIdentity(serverName, presented),
  });
  await settled(socket, 'secureConnect', signal);
  if (socket.alpnProtocol !== alpn) {
    socket.destroy();
    throw new TunnelError('ERR_TUNNEL_PEER', `the far end is no tunnel server: it does not speak ${alpn}`);
  }
  return socket;
}

/** Through `proxy`, where there is one. Rejects as `secure` does. */
export function dialTcp(
  proxy: HttpProxy | undefined,
  address: ServerAddress,
  signal: AbortSignal,
): Promise<net.Socket> {
  if (proxy !== undefined) return connectThroughProxy(proxy, address, signal);
  const socket = net.connect({ host: address.host, port: address.port, noDelay: true });
  return settled(socket, 'connect', signal);
}

/** Runs `work` with a signal that aborts after `timeoutMs` as well. */
export async function within<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using linked = new LinkedAbort(signal);
  const timer = clock.after(timeoutMs, () =>
    linked.abort(new TunnelError('ERR_TUNNEL_PEER', `${what} within ${timeoutMs} ms`)),
  );
  try {
    return await work(linked.signal);
  } finally {
    timer.cancel();
  }
}

/** Resolves with `socket` on `event`; destroys it when it fails or `signal` aborts. */
function settled<S extends net.Socket>(socket: S, event: string, signal: AbortSignal): Promise<S> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      socket.off('error', failed).off('close', closed).off(event, good);
      signal.removeEventListener('abort', aborted);
    };
    const failed = (error: unknown): void => {
      done();
      // Errors that come after the first are of no interest.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const closed = (): void => failed(new TunnelError('ERR_TUNNEL_PEER', 'the connection ended'));
    const aborted = (): void => failed(signal.reason);
    const good = (): void => {
      done();
      resolve(socket);
    };
    socket.on('error', failed).on('close', closed).on(event, good);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
}
