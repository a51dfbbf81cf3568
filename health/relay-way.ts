// A connection to the cloud through a peer: a verified connection to its port for peers, one CONNECT, and then the bytes are the
// cloud's. The next peer is tried where one refuses or does not answer.
import type net from 'node:net';
import type tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { dialPeer, type PeerAddress } from './dial-peer.ts';
import type { PeerCredentialFiles } from './credentials.ts';
import { PeerError } from './errors.ts';
import { HeadReader } from './http-head.ts';
import type { HealthMetrics } from './metrics.ts';
import { authorityOf } from './relay-service.ts';

export interface RelayWayParts {
  readonly clock: Clock;
  readonly metrics: HealthMetrics;
  readonly credentials: PeerCredentialFiles;
  /** Peers that have a way out and let others through, best first. */
  readonly candidates: () => readonly PeerAddress[];
}

const peerTimeoutMs = 1_500;
/** The peer has to reach the target first. */
const answerTimeoutMs = 5_000;
const maxHeadBytes = 4_096;

export class RelayWay {
  readonly #parts: RelayWayParts;

  constructor(parts: RelayWayParts) {
    this.#parts = parts;
  }

  get isOpen(): boolean {
    return this.#parts.candidates().length > 0;
  }

  /** The socket is paused. Rejects with PeerError, or with the reason of `signal`. */
  async open(target: Endpoint, signal: AbortSignal): Promise<net.Socket> {
    const { clock, metrics, credentials, candidates } = this.#parts;
    const current = credentials.current();
    let cause: unknown;
    for (const peer of current === undefined ? [] : candidates()) {
      signal.throwIfAborted();
      try {
        const socket = await dialPeer({ clock, credentials: current! }, peer, peerTimeoutMs, signal);
        await this.#connect(peer, target, socket, signal);
        metrics.opened('connected');
        return socket;
      } catch (error) {
        if (signal.aborted) throw error;
        metrics.opened('failed');
        cause = error;
      }
    }
    const why = cause instanceof Error ? cause.message : 'no peer has a way out';
    throw new PeerError('ERR_PEER_RELAY', `no way to ${authorityOf(target)} through a peer: ${why}`, cause);
  }

  #connect(peer: PeerAddress, target: Endpoint, socket: tls.TLSSocket, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const reader = new HeadReader(maxHeadBytes);
      const settle = (): void => {
        timer.cancel();
        socket.off('data', read).off('close', ended);
        signal.removeEventListener('abort', aborted);
      };
      const fail = (error: unknown): void => {
        settle();
        socket.destroy();
        reject(error);
      };
      const refuse = (problem: string): void => fail(new PeerError('ERR_PEER_RELAY', `relay ${peer.node}: ${problem}`));
      const aborted = (): void => fail(signal.reason);
      const ended = (): void => refuse('closed the connection');
      const read = (chunk: Buffer): void => {
        let head;
        try {
          head = reader.take(chunk);
        } catch {
          return refuse('the head of its answer is too long');
        }
        if (head === undefined) return;
        const { startLine, rest } = head;
        if (!/^HTTP\/1\.1 200\b/.test(startLine)) return refuse(`answered ${JSON.stringify(startLine.slice(0, 100))}`);
        settle();
        socket.pause();
        if (rest.length > 0) socket.unshift(rest);
        resolve();
      };
      const timer = this.#parts.clock.after(answerTimeoutMs, () => refuse(`no answer within ${answerTimeoutMs} ms`));
      socket.on('data', read).once('close', ended);
      signal.addEventListener('abort', aborted, { once: true });
      if (signal.aborted) aborted();
      const authority = authorityOf(target);
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    });
  }
}
