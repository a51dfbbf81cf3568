// Cuts a JSON watch stream into frames. The API server writes one event per line, and a line break cannot stand inside
// a JSON string, so lines are frames.
import { HeldBytes, tooLarge } from '../held-bytes.ts';
import { isWatchEventType } from '../watch-event-type.ts';
import type { WatchFrame, WatchScanner } from '../wire.ts';
import { asListItem, readItemMeta } from './object-meta.ts';
import { ObjectReader } from './object-reader.ts';
import { malformed } from './value-scanner.ts';

const lineBreak = 0x0a;

export class JsonWatchScanner implements WatchScanner {
  readonly #maxFrameBytes: number;
  readonly #held: HeldBytes;

  constructor(limits: { maxFrameBytes: number }) {
    this.#maxFrameBytes = limits.maxFrameBytes;
    this.#held = new HeldBytes(limits.maxFrameBytes);
  }

  get heldBytes(): number {
    return this.#held.length;
  }

  push(chunk: Buffer): WatchFrame[] {
    const frames: WatchFrame[] = [];
    let at = 0;
    while (at < chunk.length) {
      const end = chunk.indexOf(lineBreak, at) + 1;
      if (end === 0) {
        this.#held.append(chunk, at, chunk.length);
        break;
      }
      if (this.#held.length > 0) {
        this.#held.append(chunk, at, end);
        frames.push(readFrame(this.#held.take()));
      } else {
        if (end - at > this.#maxFrameBytes) throw tooLarge(end - at, this.#maxFrameBytes);
        frames.push(readFrame(Buffer.from(chunk.subarray(at, end))));
      }
      at = end;
    }
    return frames;
  }
}

function readFrame(frame: Buffer): WatchFrame {
  const event = new ObjectReader(frame, 0, frame.length);
  let type = '';
  let start = -1;
  let end = -1;
  while (event.next()) {
    if (event.key === 'type') {
      type = event.string();
    } else if (event.key === 'object') {
      start = event.valueStart;
      end = event.valueEnd;
    }
  }
  event.finish();
  if (!isWatchEventType(type) || start < 0) throw malformed(`watch event of type '${type}'`);
  const { typeMeta, bytes } = asListItem(frame, start, end);
  if (type === 'ERROR')
    return { type, typeMeta, frame, item: { namespace: '', name: '', uid: '', resourceVersion: '', bytes } };
  const { namespace, name, uid, resourceVersion } = readItemMeta(bytes);
  if (resourceVersion === '' || (name === '' && type !== 'BOOKMARK'))
    throw malformed(`${type} without name or version`);
  return { type, typeMeta, frame, item: { namespace, name, uid, resourceVersion, bytes } };
}
