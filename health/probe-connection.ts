// Probes of one peer over a connection that is kept: a handshake for each would cost both ends ten times as much.
import http from 'node:http';
import type tls from 'node:tls';
import type { Clock } from '../runtime/clock.ts';
import type { PeerCredentialFiles } from './credentials.ts';
import { dialPeer, PeerDialError, type PeerAddress } from './dial-peer.ts';
import { PeerError } from './errors.ts';
import { maxAnswerBytes, readAnswer, type ProbeAnswer } from './probe-answer.ts';

export const probePath = '/probe';
/** After that the far end has to prove anew who it is. */
const maxConnectionMs = 600_000;

export class ProbeConnection {
  readonly #parts: { readonly clock: Clock; readonly credentials: PeerCredentialFiles };
  readonly #address: PeerAddress;
  #socket: tls.TLSSocket | undefined;
  #agent: http.Agent | undefined;
  #openedMs = 0;

  constructor(parts: { clock: Clock; credentials: PeerCredentialFiles }, address: PeerAddress) {
    this.#parts = parts;
    this.#address = address;
  }

  /** Rejects with PeerDialError, PeerError (ERR_PEER_ANSWER), or the reason of `signal`. At most one at a time. */
  async probe(timeoutMs: number, signal: AbortSignal): Promise<ProbeAnswer> {
    const { clock } = this.#parts;
    if (this.#socket === undefined || clock.monotonicMs() - this.#openedMs > maxConnectionMs) this.close();
    const isKept = this.#socket !== undefined;
    try {
      return await this.#exchange(timeoutMs, signal);
    } catch (error) {
      this.close();
      // What was kept may have been closed by the peer, or forgotten on the way: only a new connection says how far one gets.
      if (!isKept || signal.aborted) throw error;
    }
    try {
      return await this.#exchange(timeoutMs, signal);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    this.#agent?.destroy();
    this.#socket?.destroy();
    this.#agent = undefined;
    this.#socket = undefined;
  }

  async #exchange(timeoutMs: number, signal: AbortSignal): Promise<ProbeAnswer> {
    const agent = this.#agent ?? (await this.#connect(timeoutMs, signal));
    const { node, host, port } = this.#address;
    const body = await new Promise<Buffer>((resolve, reject) => {
      const request = http.get({ host, port, path: probePath, agent });
      const fail = (problem: string, cause?: unknown): void =>
        void request.destroy(new PeerError('ERR_PEER_ANSWER', `${node} at ${host}:${port}: ${problem}`, cause));
      const timer = this.#parts.clock.after(timeoutMs, () => fail(`no answer within ${timeoutMs} ms`));
      const stop = (): void => void request.destroy(signal.reason as Error);
      signal.addEventListener('abort', stop, { once: true });
      request.once('response', (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > maxAnswerBytes) fail(`the answer is longer than ${maxAnswerBytes} bytes`);
          else chunks.push(chunk);
        });
        response.once('end', () => {
          if (response.statusCode === 200) resolve(Buffer.concat(chunks));
          else fail(`answered ${response.statusCode}`);
        });
        response.once('error', reject);
      });
      request.once('error', reject);
      request.once('close', () => {
        timer.cancel();
        signal.removeEventListener('abort', stop);
        reject(new PeerError('ERR_PEER_ANSWER', `${node} at ${host}:${port}: closed without an answer`));
      });
    });
    const answer = readAnswer(body);
    if (answer.node !== node)
      throw new PeerError('ERR_PEER_ANSWER', `${node} calls itself ${answer.node.slice(0, 80)}`);
    return answer;
  }

  async #connect(timeoutMs: number, signal: AbortSignal): Promise<http.Agent> {
    const { clock, credentials } = this.#parts;
    const current = credentials.current();
    if (current === undefined) throw new PeerDialError('nothing', 'this node has no certificate yet');
    const socket = await dialPeer({ clock, credentials: current }, this.#address, timeoutMs, signal);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = () => socket;
    socket.once('close', () => {
      if (this.#socket === socket) this.close();
    });
    this.#socket = socket;
    this.#agent = agent;
    this.#openedMs = clock.monotonicMs();
    return agent;
  }
}
