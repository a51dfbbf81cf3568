// Heads of HTTP/1.1, read by hand where a whole parser is not wanted: a CONNECT and its answer, behind which the bytes are somebody
// else's, and small questions between neighbours, for which its buffers and timers would cost more than the question.

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
const endOfHead = '\r\n\r\n';

export class HeadReader {
  readonly #maxBytes: number;
  #held: Buffer = none;

  /** `maxBytes`: of a head, without the empty line behind it. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Undefined while it is not whole; behind a whole one the reader begins anew. Of no use behind one that is too long. */
  take(chunk: Buffer): Head | 'too-long' | undefined {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const end = bytes.indexOf(endOfHead);
    // Of a head that has just its length, a part of its end may have come.
    const least = end === -1 ? bytes.length - (endOfHead.length - 1) : end;
    if (least > this.#maxBytes) return 'too-long';
    this.#held = end === -1 ? bytes : none;
    return end === -1 ? undefined : headOf(bytes.toString('latin1', 0, end), bytes.subarray(end + endOfHead.length));
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
