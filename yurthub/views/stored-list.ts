// A list answered from the store as it is read: a view that is too large for memory is too large for its answer as well.
import type { ListHead, Wire } from '../../kube/wire.ts';
import { StoreReadError } from '../errors.ts';
import type { Members } from './members.ts';

export interface StoredList {
  readonly contentLength: number;
  /**
   * To be begun in any case, since it holds a snapshot of the store until it has ended or is left. Throws StoreReadError
   * when objects are missing, or the store was reopened meanwhile: then the answer must not look complete.
   */
  readonly parts: AsyncIterable<Buffer>;
}

/** `objects` are read as they are at this moment, whatever is written while the client takes its time; their bytes pass. */
export async function storedList(
  objects: AsyncIterable<readonly (readonly [key: string, bytes: Buffer])[]>,
  members: Members,
  wire: Wire,
  head: ListHead,
): Promise<StoredList> {
  const lengths = [...members].map(([, { length }]) => length);
  const { bytes: expectedBytes } = members;
  const reading = objects[Symbol.asyncIterator]();
  const first = await reading.next();
  const firstItem = first.done === true ? undefined : first.value[0]?.[1];
  const frame = wire.listFrame(head, lengths, firstItem);
  async function* parts(): AsyncGenerator<Buffer> {
    let count = 0;
    let bytes = 0;
    let pieces = [frame.start];
    try {
      for (let rows = first; rows.done !== true; rows = await reading.next()) {
        for (const [, object] of rows.value) {
          pieces.push(frame.before(object.length, count), object);
          count += 1;
          bytes += object.length;
        }
        yield Buffer.concat(pieces);
        pieces = [];
      }
    } finally {
      await reading.return?.();
    }
    if (count !== lengths.length || bytes !== expectedBytes)
      throw new StoreReadError(`${lengths.length - count} objects of the view are missing`, undefined);
    yield Buffer.concat([...pieces, frame.end]);
  }
  return { contentLength: frame.contentLength, parts: parts() };
}
