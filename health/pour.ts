// What comes from one socket goes to another, with little memory on the way: what was sent is given back at once. Left to V8 it lies about
// until a collection, which looks at the whole heap each time that such buffers come to 64 MB, and malloc meanwhile has to ask the
// kernel for more: two fifths of the processor time of a relay.
import type net from 'node:net';

/** What is held that the far side has not taken, at most, before the near one waits. */
const heldBytes = 128 * 1024;

/** Until `from` has ended, which then ends `to`. Nobody else may read `from`, nor keep what was read. */
export function pour(from: net.Socket, to: net.Socket): void {
  from.on('data', (chunk: Buffer<ArrayBuffer>) => {
    if (to.destroyed) return;
    to.write(chunk, (error) => {
      // What failed may still be on its way out.
      if (error === null || error === undefined) giveBack(chunk);
    });
    // More than its high-water mark: 'drain' will come.
    if (to.writableLength >= heldBytes) from.pause();
  });
  to.on('drain', () => from.resume());
  from.once('end', () => to.end());
  // Whoever looked at it before may have paused it.
  from.resume();
}

/** What is part of a larger buffer is not ours alone. */
function giveBack(chunk: Buffer<ArrayBuffer>): void {
  if (chunk.byteLength === chunk.buffer.byteLength) chunk.buffer.transfer(0);
}
