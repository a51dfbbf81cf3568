// What the bytes of a connection between a client and an API server were for, told from HTTP/2 frames without their
// headers being decoded, or from the request lines of HTTP/1.1.

/**
 * `writes`: of an idle node, its Lease. `watches`: what opens and ends them. `events`: what they bring, mostly bookmarks.
 * `reads`: whole answers. `upkeep`: pings, windows, settings.
 */
export const trafficKinds = ['writes', 'watches', 'events', 'reads', 'upkeep'] as const;
export type TrafficKind = (typeof trafficKinds)[number];
export type Traffic = Record<TrafficKind, number>;

export function noTraffic(): Traffic {
  return { writes: 0, watches: 0, events: 0, reads: 0, upkeep: 0 };
}

/** Counts the plain bytes of one connection, both ways. */
export interface TrafficCounter {
  fromClient(chunk: Buffer): void;
  fromServer(chunk: Buffer): void;
  /** Bytes since the last time, by what they were for. */
  take(): Traffic;
}

/** A read is answered within this; what is open for longer is a watch. */
const longReadMs = 5_000;

interface Stream {
  readonly openedMs: number;
  readonly isWrite: boolean;
  headerBytes: number;
  dataBytes: number;
}

const frame = { data: 0, headers: 1, reset: 3, continuation: 9 } as const;
const endStream = 1;
const prefaceBytes = 24;
const frameHeadBytes = 9;

export class Http2Traffic implements TrafficCounter {
  readonly #nowMs: () => number;
  readonly #streams = new Map<number, Stream>();
  readonly #client = new FrameCutter((head) => this.#frame(head, true), prefaceBytes);
  readonly #server = new FrameCutter((head) => this.#frame(head, false), 0);
  #traffic = noTraffic();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  fromClient(chunk: Buffer): void {
    this.#client.push(chunk);
  }

  fromServer(chunk: Buffer): void {
    this.#server.push(chunk);
  }

  take(): Traffic {
    for (const stream of this.#streams.values()) {
      this.#add(stream);
      stream.headerBytes = stream.dataBytes = 0;
    }
    const traffic = this.#traffic;
    this.#traffic = noTraffic();
    return traffic;
  }

  #frame({ type, flags, id, bytes }: FrameHead, isClients: boolean): void {
    const isHeaders = type === frame.headers || type === frame.continuation;
    if (isHeaders && isClients && !this.#streams.has(id)) {
      const isWrite = type === frame.headers && (flags & endStream) === 0;
      this.#streams.set(id, { openedMs: this.#nowMs(), isWrite, headerBytes: 0, dataBytes: 0 });
    }
    const stream = this.#streams.get(id);
    if (stream === undefined || (!isHeaders && type !== frame.data && type !== frame.reset)) {
      this.#traffic.upkeep += bytes;
      return;
    }
    if (type === frame.data) stream.dataBytes += bytes;
    else stream.headerBytes += bytes;
    const isLast = type === frame.reset || (!isClients && (flags & endStream) !== 0 && type !== frame.continuation);
    if (!isLast) return;
    this.#add(stream);
    this.#streams.delete(id);
  }

  #add({ openedMs, isWrite, headerBytes, dataBytes }: Stream): void {
    if (isWrite) this.#traffic.writes += headerBytes + dataBytes;
    else if (this.#nowMs() - openedMs < longReadMs) this.#traffic.reads += headerBytes + dataBytes;
    else {
      this.#traffic.watches += headerBytes;
      this.#traffic.events += dataBytes;
    }
  }
}

interface FrameHead {
  readonly type: number;
  readonly flags: number;
  readonly id: number;
  /** Of the frame with its head. */
  readonly bytes: number;
}

/** Finds the frames in one direction (RFC 9113, 4.1). */
class FrameCutter {
  readonly #onFrame: (head: FrameHead) => void;
  #skip: number;
  #head: Buffer = Buffer.alloc(0);

  constructor(onFrame: (head: FrameHead) => void, skipBytes: number) {
    this.#onFrame = onFrame;
    this.#skip = skipBytes;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, rest.length);
        this.#skip -= skipped;
        rest = rest.subarray(skipped);
        continue;
      }
      const wanted = frameHeadBytes - this.#head.length;
      this.#head = Buffer.concat([this.#head, rest.subarray(0, wanted)]);
      rest = rest.subarray(wanted);
      if (this.#head.length < frameHeadBytes) return;
      const length = this.#head.readUIntBE(0, 3);
      const [type = 0, flags = 0] = this.#head.subarray(3);
      this.#onFrame({ type, flags, id: this.#head.readUInt32BE(5) & 0x7fffffff, bytes: frameHeadBytes + length });
      this.#head = Buffer.alloc(0);
      this.#skip = length;
    }
  }
}

/** One exchange after the other, as the hub makes them: each begins with a request line at the start of a chunk. */
export class Http1Traffic implements TrafficCounter {
  #kind: TrafficKind = 'reads';
  #traffic = noTraffic();

  fromClient(chunk: Buffer): void {
    const method = /^([A-Z]+) \S+ HTTP\/1\.1\r\n/.exec(chunk.toString('latin1', 0, 4_096))?.[1];
    if (method !== undefined) this.#kind = method === 'GET' ? 'reads' : 'writes';
    this.#traffic[this.#kind] += chunk.length;
  }

  fromServer(chunk: Buffer): void {
    this.#traffic[this.#kind] += chunk.length;
  }

  take(): Traffic {
    const traffic = this.#traffic;
    this.#traffic = noTraffic();
    return traffic;
  }
}
