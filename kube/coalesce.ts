// Joins many small buffers into few larger ones: a list of 5,000 items as 10,000 writes would cost more in the HTTP
// layer than the copying does here.

const slabBytes = 64 * 1024;
/** A buffer from this size on is passed as it is: a write of its own costs less than a copy. */
const passBytes = 32 * 1024;

/** The same bytes in the same order. Parts from `passBytes` on are not copied. */
export function coalesce(pieces: readonly Buffer[]): { contentLength: number; parts: Buffer[] } {
  const parts: Buffer[] = [];
  let contentLength = 0;
  let from = 0;
  let pending = 0;
  const flush = (to: number): void => {
    if (pending > 0) parts.push(Buffer.concat(pieces.slice(from, to), pending));
    from = to;
    pending = 0;
  };
  for (const [index, piece] of pieces.entries()) {
    contentLength += piece.length;
    if (piece.length >= passBytes) {
      flush(index);
      parts.push(piece);
      from = index + 1;
      continue;
    }
    if (pending + piece.length > slabBytes) flush(index);
    pending += piece.length;
  }
  flush(pieces.length);
  return { contentLength, parts };
}
