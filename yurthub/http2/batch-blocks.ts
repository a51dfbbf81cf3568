// Memory for what leaves in one write. A new buffer for each would have V8 mark its whole heap again and again: for a large list
// that is a third of what it costs.
import { frameHeadBytes, maxFrameBytes } from './frames.ts';

/** Leaves at once: below what malloc maps apart (config/node/supervise.sh), and as much as two TLS records. */
export const maxBatchBytes = 32 << 10;
/** A batch is below its limit before its last part is put, which is a frame at most. */
const blockBytes = maxBatchBytes + maxFrameBytes + frameHeadBytes;
/** What lies about when nothing is sent: 200 KB. */
const keptBlocks = 4;

/** For all connections of one side. */
export class BatchBlocks {
  readonly #kept: Buffer[] = [];

  /** These one after the other. The bytes are the caller's until it gives them back, or for good. */
  join(parts: readonly Buffer[], bytes: number): Buffer {
    if (bytes > blockBytes) return Buffer.concat(parts, bytes);
    const block = this.#kept.pop() ?? Buffer.allocUnsafeSlow(blockBytes);
    let at = 0;
    for (const part of parts) {
      part.copy(block, at);
      at += part.length;
    }
    return block.subarray(0, bytes);
  }

  /** Nobody reads what `join` gave any more. */
  giveBack({ buffer }: Buffer): void {
    if (buffer.byteLength === blockBytes && this.#kept.length < keptBlocks) this.#kept.push(Buffer.from(buffer));
  }
}
