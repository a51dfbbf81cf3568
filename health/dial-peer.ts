// One verified connection to a peer: TLS 1.3 with the node's certificate, and nothing sent before the far end has proved that it
// is the expected node. The only place of this folder that connects to peers.
import net from 'node:net';
import tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { PeerCredentials } from './credentials.ts';
import { PeerError } from './errors.ts';
import { judgeCertificate } from './node-certificate.ts';

export interface PeerAddress {
  /** The node that must answer there. */
  readonly node: string;
  readonly host: string;
  readonly port: number;
}

/** How far an attempt got that failed. tcp: somebody accepted the connection. refused: the host said that nobody listens. */
export const reaches = ['nothing', 'refused', 'tcp'] as const;
export type Reach = (typeof reaches)[number];

export class PeerDialError extends PeerError {
  readonly reach: Reach;

  constructor(reach: Reach, message: string, cause?: unknown) {
    super('ERR_PEER_DIAL', message, cause);
    this.name = 'PeerDialError';
    this.reach = reach;
  }
}

export interface DialParts {
  readonly clock: Clock;
  readonly credentials: PeerCredentials;
}

/** Rejects with PeerDialError, or with the reason of `signal`; then no socket is left behind. */
export function dialPeer(
  { clock, credentials }: DialParts,
  { node, host, port }: PeerAddress,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    let reach: Reach = 'nothing';
    const tcp = net.connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 });
    const socket = tls.connect({
      socket: tcp,
      secureContext: credentials.context,
      // A client certificate is no server certificate: judged below, completely, before anything is written.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
    });
    const settle = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      socket.off('secureConnect', onSecure).off('close', onClose);
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      tcp.destroy();
      reject(error);
    };
    const failWith = (problem: string, cause?: unknown): void =>
      fail(new PeerDialError(reach, `${node} at ${host}:${port}: ${problem}`, cause));
    const onSecure = (): void => {
      const verdict = judgeCertificate({
        certificate: socket.getPeerX509Certificate(),
        clientCas: credentials.clientCas,
        nowMs: clock.wallMs(),
      });
      if ('fault' in verdict) failWith(`its certificate is no node's: ${verdict.fault}`);
      else if (verdict.node !== node) failWith(`it is ${verdict.node}`);
      else {
        settle();
        resolve(socket);
      }
    };
    const onAbort = (): void => fail(signal.reason as Error);
    const onClose = (): void => failWith('closed while connecting');
    const timer = clock.after(timeoutMs, () => failWith(`no answer within ${timeoutMs} ms`));
    const onError = (error: NodeJS.ErrnoException): void => {
      if (error.code === 'ECONNREFUSED') reach = 'refused';
      failWith(error.message, error);
    };
    tcp.once('connect', () => (reach = 'tcp'));
    // For the life of the sockets: an error between two owners must not end the process. Owners see 'close'.
    tcp.on('error', onError);
    socket.on('error', onError);
    socket.once('secureConnect', onSecure).once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
