// Cuts what a server sends into frames, where it is read into memory that the next read uses again: the content of DATA is handed on
// as it comes, everything else when it is whole. Holds at most one frame.
import { ConnectionError, ErrorCode } from './errors.ts';
import { Flag, frameHeadBytes, FrameType, maxFrameBytes } from './frames.ts';

export interface FrameEvents {
  /** A DATA frame of so many bytes begins. */
  data(streamId: number, bytes: number): void;
  /** Of a DATA frame, without padding. Good until the call returns. */
  content(streamId: number, bytes: Buffer): void;
  /** A DATA frame with END_STREAM is over. */
  dataEnded(streamId: number): void;
  /** Any other frame. `payload` is good until the call returns. */
  frame(type: number, flags: number, streamId: number, payload: Buffer): void;
}

const nothing = Buffer.alloc(0);

export class FrameCutter {
  readonly #events: FrameEvents;
  readonly #head = Buffer.alloc(frameHeadBytes);
  #headBytes = 0;
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Of the payload, still to come. */
  #left = 0;
  /** The length of the padding is still to come. */
  #padded = false;
  /** Of what is left, at its end. */
  #padding = 0;
  /** A payload that has not come whole, and how much of it has. */
  #held: Buffer | undefined;
  #heldBytes = 0;

  constructor(events: FrameEvents) {
    this.#events = events;
  }

  /** Throws ConnectionError, and whatever the events throw; then nothing may be fed any more. */
  feed(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      if (this.#headBytes < frameHeadBytes) {
        const taken = Math.min(frameHeadBytes - this.#headBytes, bytes.length - at);
        bytes.copy(this.#head, this.#headBytes, at, at + taken);
        this.#headBytes += taken;
        at += taken;
        if (this.#headBytes === frameHeadBytes) this.#begin();
      } else if (this.#type === FrameType.data) at += this.#takeData(bytes, at);
      else at += this.#takeOther(bytes, at);
    }
  }

  #begin(): void {
    const head = this.#head;
    this.#left = head.readUIntBE(0, 3);
    this.#type = head[3] as number;
    this.#flags = head[4] as number;
    this.#streamId = head.readUInt32BE(5) & 0x7fffffff;
    if (this.#left > maxFrameBytes) throw new ConnectionError(ErrorCode.frameSize, 'a frame is too large');
    if (this.#type === FrameType.data) {
      this.#padding = 0;
      this.#padded = (this.#flags & Flag.padded) !== 0;
      if (this.#padded && this.#left === 0) throw new ConnectionError(ErrorCode.frameSize, 'a padded frame is empty');
      this.#events.data(this.#streamId, this.#left);
    }
    if (this.#left === 0) this.#end(nothing);
  }

  #takeData(bytes: Buffer, at: number): number {
    if (this.#padded) {
      this.#padded = false;
      this.#padding = bytes[at] as number;
      this.#left -= 1;
      if (this.#padding > this.#left) throw new ConnectionError(ErrorCode.protocol, 'more padding than there is');
      if (this.#left === 0) this.#end(nothing);
      return 1;
    }
    const taken = Math.min(this.#left, bytes.length - at);
    const content = Math.min(taken, this.#left - this.#padding);
    this.#left -= taken;
    this.#padding = Math.min(this.#padding, this.#left);
    if (content > 0) this.#events.content(this.#streamId, bytes.subarray(at, at + content));
    if (this.#left === 0) this.#end(nothing);
    return taken;
  }

  #takeOther(bytes: Buffer, at: number): number {
    const taken = Math.min(this.#left, bytes.length - at);
    const part = bytes.subarray(at, at + taken);
    this.#left -= taken;
    if (this.#held === undefined && this.#left === 0) {
      this.#end(part);
      return taken;
    }
    this.#held ??= Buffer.allocUnsafeSlow(taken + this.#left);
    part.copy(this.#held, this.#heldBytes);
    this.#heldBytes += taken;
    if (this.#left === 0) this.#end(this.#held);
    return taken;
  }

  #end(payload: Buffer): void {
    this.#headBytes = 0;
    this.#held = undefined;
    this.#heldBytes = 0;
    if (this.#type !== FrameType.data) this.#events.frame(this.#type, this.#flags, this.#streamId, payload);
    else if ((this.#flags & Flag.endStream) !== 0) this.#events.dataEnded(this.#streamId);
  }
}
