// The asking half of an HTTP CONNECT: one request, the head of its answer, and then the bytes are somebody else's.
import type net from 'node:net';
import { HeadReader } from './http-head.ts';

export interface ConnectQuestion {
  /** HOST:PORT. */
  readonly authority: string;
  /** Lines of the request behind Host, without their ends. */
  readonly fields: readonly string[];
  /** Why there is no way, as an error of whoever asks; `cause`: what the socket reported. */
  readonly refused: (problem: string, cause?: unknown) => Error;
}

const maxHeadBytes = 8_192;

/**
 * Asks on `socket`, which may still be connecting. When it resolves the socket is paused, and what came behind the answer is put back.
 * Rejects with what `refused` gives, or with the reason of `signal`; the socket is destroyed then.
 */
export function askConnect(socket: net.Socket, question: ConnectQuestion, signal: AbortSignal): Promise<void> {
  const { authority, fields, refused } = question;
  return new Promise((resolve, reject) => {
    const reader = new HeadReader(maxHeadBytes);
    const settle = (): void => {
      socket.off('data', read).off('error', failed).off('end', ended).off('close', ended);
      signal.removeEventListener('abort', aborted);
    };
    const fail = (error: unknown): void => {
      settle();
      // What else it reports is of no interest, and must not end the process.
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const failed = (error: Error): void => fail(refused(error.message, error));
    const ended = (): void => fail(refused('ended the connection'));
    const aborted = (): void => fail(signal.reason);
    const read = (chunk: Buffer): void => {
      const head = reader.take(chunk);
      if (head === undefined) return;
      if (head === 'too-long') return fail(refused('the head of its answer is too long'));
      const { startLine, rest } = head;
      // Any 2xx; what it says of a length means nothing behind it (RFC 9110 section 9.3.6).
      if (!/^HTTP\/1\.[01] 2\d\d(?: |$)/.test(startLine))
        return fail(refused(`answered ${JSON.stringify(startLine.slice(0, 100))}`));
      settle();
      socket.pause();
      if (rest.length > 0) socket.unshift(rest);
      resolve();
    };
    if (signal.aborted) return aborted();
    if (socket.destroyed) return ended();
    signal.addEventListener('abort', aborted, { once: true });
    socket.on('data', read).on('error', failed).on('end', ended).on('close', ended);
    socket.write([`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...fields, '', ''].join('\r\n'));
  });
}
