// A list body put together from its items, in few large parts: 10,000 writes for 5,000 items would cost more in the HTTP
// layer than the copying does here.

import type { ListFrame } from './wire.ts';

const slabBytes = 64 * 1024;
/** A buffer from this size on is passed as it is: a write of its own costs less than a copy. */
const passBytes = 32 * 1024;

/** A list body of these items, joined as it is asked for. Items from `passBytes` on are not copied. */
export function framedList(
  frame: ListFrame,
  items: readonly Buffer[],
): { contentLength: number; parts: Iterable<Buffer> } {
  const pieces = [frame.start];
  for (const [index, item] of items.entries()) pieces.push(frame.before(item.length, index), item);
  pieces.push(frame.end);
  return { contentLength: frame.contentLength, parts: joined(pieces) };
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
