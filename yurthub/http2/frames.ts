// Frames of HTTP/2 (RFC 9113 sections 4 and 6): cut out of the bytes of a connection, and written.
import { ConnectionError, ErrorCode, frameSize, protocol } from './errors.ts';

export const FrameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  rstStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goAway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const Flag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const Setting = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const frameHeadBytes = 9;
/** The most that may be sent without asking, and the most that we take. */
export const maxFrameBytes = 16_384;
export const maxWindowBytes = 0x7fffffff;
export const defaultWindowBytes = 65_535;

/** `payload` is only good until the call returns. */
export type OnFrame = (type: number, flags: number, streamId: number, payload: Buffer) => void;

/** Cuts a connection's bytes, from the preface on, into frames. Holds at most one frame. */
export class FrameReader {
  readonly #onFrame: OnFrame;
  #prefaceSeen = false;
  #held: Buffer | undefined;

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame;
  }

  get prefaceSeen(): boolean {
    return this.#prefaceSeen;
  }

  /** Throws ConnectionError, and whatever `onFrame` throws; then nothing may be fed any more. */
  feed(arrived: Buffer): void {
    const bytes = this.#held === undefined ? arrived : Buffer.concat([this.#held, arrived]);
    this.#held = undefined;
    let at = 0;
    if (!this.#prefaceSeen) {
      const length = Math.min(bytes.length, preface.length);
      if (bytes.compare(preface, 0, length, 0, length) !== 0)
        throw new ConnectionError(ErrorCode.protocol, 'the connection does not begin with the preface');
      if (length < preface.length) {
        this.#held = bytes;
        return;
      }
      this.#prefaceSeen = true;
      at = preface.length;
    }
    while (bytes.length - at >= frameHeadBytes) {
      const length = bytes.readUIntBE(at, 3);
      if (length > maxFrameBytes) throw new ConnectionError(ErrorCode.frameSize, 'a frame is too large');
      const end = at + frameHeadBytes + length;
      if (end > bytes.length) break;
      const streamId = bytes.readUInt32BE(at + 5) & 0x7fffffff;
      const payload = bytes.subarray(at + frameHeadBytes, end);
      this.#onFrame(bytes[at + 3] as number, bytes[at + 4] as number, streamId, payload);
      at = end;
    }
    if (at < bytes.length) this.#held = at === 0 ? bytes : Buffer.from(bytes.subarray(at));
  }
}

/** Writes a frame's head at `at`; returns where its payload begins. */
export function putFrameHead(
  into: Buffer,
  at: number,
  payloadBytes: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  into.writeUIntBE(payloadBytes, at, 3);
  into[at + 3] = type;
  into[at + 4] = flags;
  into.writeUInt32BE(streamId, at + 5);
  return at + frameHeadBytes;
}

export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(frameHeadBytes + payload.length);
  payload.copy(bytes, putFrameHead(bytes, 0, payload.length, type, flags, streamId));
  return bytes;
}

/** A frame whose payload is 32-bit numbers: WINDOW_UPDATE, RST_STREAM, GOAWAY. */
export function numbersFrame(type: number, streamId: number, ...numbers: number[]): Buffer {
  const payload = Buffer.allocUnsafe(4 * numbers.length);
  for (const [index, number] of numbers.entries()) payload.writeUInt32BE(number, 4 * index);
  return frame(type, 0, streamId, payload);
}

export function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.allocUnsafe(6 * settings.length);
  for (const [index, [id, value]] of settings.entries())
    payload.writeUInt32BE(value, payload.writeUInt16BE(id, 6 * index));
  return frame(FrameType.settings, 0, 0, payload);
}

/** The frames of a header block: HEADERS, then CONTINUATIONs where it does not fit. `block`: one character per byte. */
export function headerFrames(streamId: number, block: string, endStream: boolean, room: number): [Buffer, number] {
  const count = Math.max(1, Math.ceil(block.length / maxFrameBytes));
  const bytes = Buffer.allocUnsafe(block.length + count * frameHeadBytes + room);
  let at = 0;
  for (let index = 0; index < count; index += 1) {
    const part = count === 1 ? block : block.slice(index * maxFrameBytes, (index + 1) * maxFrameBytes);
    const flags = (index === count - 1 ? Flag.endHeaders : 0) | (index === 0 && endStream ? Flag.endStream : 0);
    at = putFrameHead(
      bytes,
      at,
      part.length,
      index === 0 ? FrameType.headers : FrameType.continuation,
      flags,
      streamId,
    );
    at += bytes.write(part, at, 'latin1');
  }
  return [bytes, at];
}

/** What a frame carries, without its padding. Throws ConnectionError. */
export function unpadded(flags: number, payload: Buffer): Buffer {
  if ((flags & Flag.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined) throw frameSize('a padded frame');
  if (padding >= payload.length) throw protocol('more padding than there is');
  return payload.subarray(1, payload.length - padding);
}
