// One TLS connection to an API server, from nothing or over a connection that leads there: the only place of the uplink that
// opens sockets.
import tls from 'node:tls';
import net from 'node:net';
import type { Clock } from '../../runtime/clock.ts';

export interface DialTarget {
  readonly host: string;
  readonly port: number;
  /** The name or address that the certificate must carry; the host when undefined. */
  readonly serverName: string | undefined;
}

export interface Dialled {
  readonly socket: tls.TLSSocket;
  /** Duration of the TCP handshake: the first measure of the round trip. */
  readonly roundTripMs: number;
}

/** An attempt that took longer than it may. */
export class DialTimeoutError extends Error {
  readonly code = 'ERR_DIAL_TIMEOUT';

  constructor(target: DialTarget, timeoutMs: number) {
    super(`no TLS connection to ${target.host}:${target.port} within ${timeoutMs} ms`);
    this.name = 'DialTimeoutError';
  }
}

/** Rejects with the socket's error, DialTimeoutError, or the signal's reason; then no socket is left behind. */
export function dialTls(
  target: DialTarget,
  options: {
    secureContext: tls.SecureContext;
    alpn: 'h2' | 'http/1.1';
    timeoutMs: number;
    clock: Clock;
    signal: AbortSignal;
    /** Called when the TCP connection stands: TLS is still to come. */
    connected?: () => void;
    /** Where what arrives is put, instead of into the socket's stream. */
    onread?: net.OnReadOpts | undefined;
    /** A connection that leads to the target already, which is then the TLS connection's to close. */
    through?: net.Socket;
  },
): Promise<Dialled> {
  const { clock, signal, timeoutMs } = options;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      // It was given up while the way was made.
      options.through?.destroy();
      reject(signal.reason as Error);
      return;
    }
    const name = target.serverName ?? target.host;
    const startedMs = clock.monotonicMs();
    let roundTripMs = 0;
    const { through } = options;
    const socket = tls.connect({
      ...(through === undefined ? { host: target.host, port: target.port } : { socket: through }),
      // An address must not be sent as a server name (RFC 6066); it is verified all the same.
      ...(net.isIP(name) === 0 ? { servername: name } : {}),
      checkServerIdentity: (_host, certificate) => tls.checkServerIdentity(name, certificate),
      secureContext: options.secureContext,
      ALPNProtocols: [options.alpn],
      // Passed on to the socket; its types know it for net.connect only.
      ...(options.onread === undefined || through !== undefined ? {} : ({ onread: options.onread } as object)),
    });
    if (through !== undefined) {
      options.connected?.();
      socket.once('close', () => through.destroy());
      // Node.js gives `onread` to sockets alone that it makes itself.
      if (options.onread !== undefined) readInto(socket, options.onread);
    }
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 15_000);
    const settle = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.off('secureConnect', onSecure);
      socket.off('close', onClose);
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onSecure = (): void => {
      settle();
      // One round trip of TLS 1.3, where there was no handshake of TCP to measure.
      if (through !== undefined) roundTripMs = clock.monotonicMs() - startedMs;
      resolve({ socket, roundTripMs });
    };
    const onAbort = (): void => fail(signal.reason as Error);
    const onClose = (): void => fail(Object.assign(new Error('closed while connecting'), { code: 'ECONNRESET' }));
    const timer = clock.after(timeoutMs, () => fail(new DialTimeoutError(target, timeoutMs)));
    socket.once('connect', () => {
      roundTripMs = clock.monotonicMs() - startedMs;
      options.connected?.();
    });
    socket.once('secureConnect', onSecure);
    socket.once('close', onClose);
    // Stays for the life of the socket: an error between two owners must not end the process. Owners see 'close'.
    socket.on('error', fail);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** What `onread` does, for a socket that has none. */
function readInto(socket: tls.TLSSocket, onread: net.OnReadOpts): void {
  const target = typeof onread.buffer === 'function' ? onread.buffer() : onread.buffer;
  socket.on('data', (chunk: Buffer) => {
    let goesOn = true;
    for (let at = 0; at < chunk.length; at += target.length) {
      const part = chunk.subarray(at, at + target.length);
      target.set(part);
      goesOn = onread.callback(part.length, target);
    }
    if (!goesOn) socket.pause();
  });
}
