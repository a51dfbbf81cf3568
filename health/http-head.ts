// The heads that peers send each other, and a kubelet's health port: HTTP/1.1 as far as it is needed here, read by hand. Some
// hundred bytes now and then are not worth a parser, its buffers and its timers for each connection.
import { PeerError } from './errors.ts';

export interface Head {
  /** `GET /probe HTTP/1.1`, `HTTP/1.1 200 OK`. */
  readonly startLine: string;
  /** Undefined where it is not said. NaN: not to be understood, or said twice. */
  readonly contentLength: number | undefined;
  /** It says how long its body is in another way than by `contentLength`. */
  readonly isEncoded: boolean;
  /** What came behind it. */
  readonly rest: Buffer;
}

const none = Buffer.alloc(0);

export class HeadReader {
  readonly #maxBytes: number;
  #held: Buffer = none;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Undefined while it is not whole. Then the reader begins anew. Throws PeerError (ERR_PEER_ANSWER): too long. */
  take(chunk: Buffer): Head | undefined {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = bytes.indexOf('\r\n\r\n');
    if ((end === -1 ? bytes.length : end) > this.#maxBytes)
      throw new PeerError('ERR_PEER_ANSWER', `a head is longer than ${this.#maxBytes} bytes`);
    if (end === -1) {
      this.#held = bytes;
      return undefined;
    }
    this.#held = none;
    return headOf(bytes.toString('latin1', 0, end), bytes.subarray(end + 4));
  }
}

function headOf(text: string, rest: Buffer): Head {
  const [startLine = '', ...fields] = text.split('\r\n');
  let contentLength: number | undefined;
  let isEncoded = false;
  for (const field of fields) {
    const colon = field.indexOf(':');
    const name = field.slice(0, colon).toLowerCase();
    if (name === 'transfer-encoding') isEncoded = true;
    if (name !== 'content-length') continue;
    const value = field.slice(colon + 1).trim();
    contentLength = contentLength === undefined && /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  }
  return { startLine, contentLength, isEncoded, rest };
}
