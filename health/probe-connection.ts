// Probes of one peer over a verified connection that is kept.
import type { Clock } from '../runtime/clock.ts';
import type { PeerCredentialFiles } from './credentials.ts';
import { dialPeer, PeerDialError, type PeerAddress } from './dial-peer.ts';
import { PeerError } from './errors.ts';
import { KeptConnection } from './kept-connection.ts';
import { maxAnswerBytes, readAnswer, type ProbeAnswer } from './probe-answer.ts';

export const probePath = '/probe';
/** After that the far end has to prove anew who it is. */
const maxAgeMs = 600_000;

export class ProbeConnection {
  readonly #address: PeerAddress;
  readonly #connection: KeptConnection;

  constructor(parts: { clock: Clock; credentials: PeerCredentialFiles }, address: PeerAddress) {
    const { clock, credentials } = parts;
    this.#address = address;
    this.#connection = new KeptConnection(
      {
        clock,
        open: async (timeoutMs, signal) => {
          const current = credentials.current();
          if (current === undefined) throw new PeerDialError('nothing', 'this node has no certificate yet');
          return await dialPeer({ clock, credentials: current }, address, timeoutMs, signal);
        },
      },
      { who: whoOf(address), path: probePath, maxBodyBytes: maxAnswerBytes, maxAgeMs },
    );
  }

  /** Rejects with PeerDialError, PeerError (ERR_PEER_ANSWER), or the reason of `signal`. At most one at a time. */
  async probe(timeoutMs: number, signal: AbortSignal): Promise<ProbeAnswer> {
    const { status, body } = await this.#connection.ask(timeoutMs, signal);
    if (status !== 200) throw new PeerError('ERR_PEER_ANSWER', `${whoOf(this.#address)}: answered ${status}`);
    const answer = readAnswer(body);
    const { node } = this.#address;
    if (answer.node !== node)
      throw new PeerError('ERR_PEER_ANSWER', `${node} calls itself ${answer.node.slice(0, 80)}`);
    return answer;
  }

  close(): void {
    this.#connection.close();
  }
}

function whoOf({ node, host, port }: PeerAddress): string {
  return `${node} at ${host}:${port}`;
}
