// One TCP or unix connection of a client that wants to be joined to something far: what it sends early is kept, its leaving is
// noticed, and an HTTP CONNECT is answered in words that kubectl, curl and Prometheus print.
import type net from 'node:net';
import { EarlyBytes } from './early-bytes.ts';
import { headerText, RefusedError } from './refusal.ts';
import { socketEnd, splice, type SpliceEnd, type SpliceResult } from './splice.ts';

export interface ClientConnection {
  readonly socket: net.Socket;
  /** What the client sent behind the head of its request. */
  readonly head: Buffer;
}

export interface Answers {
  /** There is no way; nothing is given when the client left. */
  refused(refusal: RefusedError | undefined): void;
  /** There is; what comes from the far end is held back until the promise resolves. */
  accepted(): Promise<void>;
}

/** `reach` rejects with RefusedError, or when `gone` aborts. Resolves when all is over; never rejects. */
export async function carry(
  { socket, head }: ClientConnection,
  reach: (gone: AbortSignal) => Promise<SpliceEnd>,
  answers: Answers,
): Promise<SpliceResult | undefined> {
  const gone = new AbortController();
  const early = new EarlyBytes(socket, head, () => gone.abort());
  let far: SpliceEnd;
  try {
    far = await reach(gone.signal);
  } catch (error) {
    early.drop();
    answers.refused(error instanceof RefusedError ? error : undefined);
    return undefined;
  }
  early.giveBack();
  return await splice(socketEnd(socket), far, answers.accepted());
}

/** The answers of an HTTP CONNECT. `hold` gives what holds back the far end. */
export function connectAnswers(socket: net.Socket, hold: () => Promise<void> = () => Promise.resolve()): Answers {
  return {
    refused: (refusal) => (refusal === undefined ? socket.destroy() : refuse(socket, refusal)),
    accepted: () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      return hold();
    },
  };
}

function refuse(socket: net.Socket, refusal: RefusedError): void {
  if (socket.destroyed) return;
  const text = headerText(refusal.message);
  const body = `${text}\n`;
  socket.on('error', () => undefined);
  socket.end(
    `HTTP/1.1 ${refusal.status} ${text}\r\nHoldfast-Reason: ${refusal.reason}\r\n` +
      (refusal.reason === 'unauthenticated' ? 'Proxy-Authenticate: Bearer\r\nProxy-Authenticate: Basic\r\n' : '') +
      `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
  // What the client still sends is not wanted; a client that never ends its side must not keep the descriptor.
  socket.resume();
  socket.destroySoon();
}
