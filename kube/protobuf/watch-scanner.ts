// Cuts a protobuf watch stream into frames: 4 bytes of length (big endian), then a metav1.WatchEvent
// {1 type, 2 RawExtension{1: a whole k8s\0 object}}, as k8s.io/apimachinery/pkg/util/framer writes them.
import { tooLarge } from '../held-bytes.ts';
import type { WatchFrame, WatchScanner } from '../wire.ts';
import { isWatchEventType } from '../watch-event-type.ts';
import { openEnvelope } from './envelope.ts';
import { FieldReader, malformed } from './fields.ts';
import { readItemMeta } from './object-meta.ts';

export const frameHeadBytes = 4;

export class ProtobufWatchScanner implements WatchScanner {
  readonly #maxFrameBytes: number;
  readonly #head = Buffer.alloc(frameHeadBytes);
  #headLength = 0;
  /** The frame being gathered, of its final size; undefined while its length is not known. */
  #frame: Buffer | undefined;
  #frameLength = 0;

  constructor(limits: { maxFrameBytes: number }) {
    this.#maxFrameBytes = limits.maxFrameBytes;
  }

  get heldBytes(): number {
    return this.#frame === undefined ? this.#headLength : this.#frameLength;
  }

  push(chunk: Buffer): WatchFrame[] {
    const frames: WatchFrame[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame !== undefined) {
        at += this.#fill(this.#frame, chunk, at);
        if (this.#frameLength === this.#frame.length) frames.push(readFrame(this.#takeFrame()));
      } else if (this.#headLength === 0 && chunk.length - at >= frameHeadBytes) {
        const frameBytes = this.#checked(chunk.readUInt32BE(at));
        if (chunk.length - at >= frameBytes) {
          frames.push(readFrame(Buffer.from(chunk.subarray(at, at + frameBytes))));
          at += frameBytes;
        } else {
          this.#frame = Buffer.allocUnsafeSlow(frameBytes);
        }
      } else {
        this.#head[this.#headLength++] = chunk[at++] ?? 0;
        if (this.#headLength === frameHeadBytes) this.#startFrame();
      }
    }
    return frames;
  }

  #startFrame(): void {
    this.#frame = Buffer.allocUnsafeSlow(this.#checked(this.#head.readUInt32BE(0)));
    this.#frameLength = this.#head.copy(this.#frame);
    this.#headLength = 0;
  }

  #fill(frame: Buffer, chunk: Buffer, at: number): number {
    const copied = chunk.copy(frame, this.#frameLength, at);
    this.#frameLength += copied;
    return copied;
  }

  #takeFrame(): Buffer {
    const frame = this.#frame ?? Buffer.alloc(0);
    this.#frame = undefined;
    this.#frameLength = 0;
    return frame;
  }

  /** Size of the whole frame. An empty one is no event: without this check it would also never be completed. */
  #checked(eventBytes: number): number {
    if (eventBytes === 0) throw malformed('empty watch frame');
    const frameBytes = frameHeadBytes + eventBytes;
    if (frameBytes > this.#maxFrameBytes) throw tooLarge(frameBytes, this.#maxFrameBytes);
    return frameBytes;
  }
}

function readFrame(frame: Buffer): WatchFrame {
  const event = new FieldReader(frame, frameHeadBytes, frame.length);
  let type = '';
  let start = -1;
  let end = -1;
  while (event.next()) {
    if (event.field === 1) {
      type = event.string();
    } else if (event.field === 2) {
      const extension = event.message();
      while (extension.next()) {
        if (extension.field !== 1) continue;
        extension.expectBytes();
        start = extension.valueStart;
        end = extension.valueEnd;
      }
    }
  }
  if (!isWatchEventType(type) || start < 0) throw malformed(`watch event of type '${type}'`);
  const { typeMeta, rawStart, rawEnd } = openEnvelope(frame, start, end);
  const bytes = frame.subarray(rawStart, rawEnd);
  if (type === 'ERROR') {
    // A Status has ListMeta where objects have ObjectMeta: reading names from it would find other things.
    return { type, typeMeta, frame, item: { namespace: '', name: '', uid: '', resourceVersion: '', bytes } };
  }
  const { namespace, name, uid, resourceVersion } = readItemMeta(frame, rawStart, rawEnd);
  if (resourceVersion === '' || (name === '' && type !== 'BOOKMARK'))
    throw malformed(`${type} without name or version`);
  return { type, typeMeta, frame, item: { namespace, name, uid, resourceVersion, bytes } };
}
