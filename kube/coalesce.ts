// Joins many small buffers into few larger ones: a list of 5,000 items as 10,000 writes would cost more in the HTTP
// layer than the copying does here.

const slabBytes = 64 * 1024;
/** A buffer from this size on is passed as it is: a write of its own costs less than a copy. */
const passBytes = 32 * 1024;

/** The same bytes in the same order, joined as they are asked for. Parts from `passBytes` on are not copied. */
export function coalesce(pieces: readonly Buffer[]): { contentLength: number; parts: Iterable<Buffer> } {
  let contentLength = 0;
  for (const piece of pieces) contentLength += piece.length;
  return { contentLength, parts: joined(pieces) };
}

function* joined(pieces: readonly Buffer[]): Generator<Buffer> {
  let from = 0;
  let pending = 0;
  for (const [index, piece] of pieces.entries()) {
    const passed = piece.length >= passBytes;
    if (pending > 0 && (passed || pending + piece.length > slabBytes)) {
      yield Buffer.concat(pieces.slice(from, index), pending);
      from = index;
      pending = 0;
    }
    if (passed) {
      yield piece;
      from = index + 1;
    } else pending += piece.length;
  }
  if (pending > 0) yield Buffer.concat(pieces.slice(from), pending);
}
