// A connection to the cloud through a peer: a verified connection to its port for peers, one CONNECT, and then the bytes are the
// cloud's. The next peer is tried where one refuses or does not answer.
import type net from 'node:net';
import { askConnect } from '../runtime/ask-connect.ts';
import type { Clock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { dialPeer, type PeerAddress } from './dial-peer.ts';
import type { PeerCredentialFiles } from './credentials.ts';
import { PeerError } from './errors.ts';
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

  async #connect(peer: PeerAddress, target: Endpoint, socket: net.Socket, signal: AbortSignal): Promise<void> {
    const refused = (problem: string, cause?: unknown): PeerError =>
      new PeerError('ERR_PEER_RELAY', `relay ${peer.node}: ${problem}`, cause);
    using linked = new LinkedAbort(signal);
    const timer = this.#parts.clock.after(answerTimeoutMs, () =>
      linked.abort(refused(`no answer within ${answerTimeoutMs} ms`)),
    );
    try {
      await askConnect(socket, { authority: authorityOf(target), fields: [], refused }, linked.signal);
    } finally {
      timer.cancel();
    }
  }
}
