// The objects of a view with a segment, in order: those that have not changed since the first list from the segment, many at a
// time, the others from their records.
import { StoreReadError } from '../errors.ts';
import type { Segment, StoreRow } from '../types.ts';
import type { Member } from './members.ts';

export type Objects = readonly (readonly [key: string, bytes: Buffer])[];

export interface ObjectSources {
  readonly segment: Segment;
  /** Undefined when all members are in the segment. */
  readonly records: AsyncIterable<readonly StoreRow[]> | undefined;
  /** What the keys of records begin with. */
  readonly prefix: string;
  readonly reveal: (recordKey: string, record: Buffer) => Buffer;
  /** The bytes hold only until the next are asked for. */
  readonly passing: boolean;
}

type Run = readonly (readonly [key: string, member: Member])[];

/** What is read from a segment at once. */
const pieceBytes = 256 << 10;

/** `sorted`: members by key. Throws StoreReadError when one is missing. */
export async function* segmentObjects(sorted: Run, sources: ObjectSources): AsyncGenerator<Objects> {
  const { segment } = sources;
  const release = segment.hold();
  const records = sources.records && new Records(sources.records);
  try {
    await records?.begin();
    const buffer = sources.passing ? Buffer.allocUnsafeSlow(pieceBytes) : undefined;
    let objects: (readonly [string, Buffer])[] = [];
    let bytes = 0;
    for (let index = 0; index < sorted.length;) {
      const end = endOfRun(sorted, index);
      const run = sorted.slice(index, end);
      const runBytes = spanOf(run);
      if (objects.length > 0 && bytes + runBytes > pieceBytes) {
        yield objects;
        objects = [];
        bytes = 0;
      }
      const room = buffer !== undefined && bytes + runBytes <= pieceBytes ? buffer.subarray(bytes) : undefined;
      for (const object of await objectsOf(run, sources, records, room)) objects.push(object);
      bytes += runBytes;
      index = end;
    }
    if (objects.length > 0) yield objects;
  } finally {
    release();
    await records?.end();
  }
}

/** Of members that are next to each other in the segment, or of one. */
async function objectsOf(
  run: Run,
  { segment, prefix, reveal }: ObjectSources,
  records: Records | undefined,
  room: Buffer | undefined,
): Promise<Objects> {
  const first = run[0];
  if (first === undefined) return [];
  const from = first[1].at;
  if (from !== undefined) {
    const bytes = await segment.read(from, spanOf(run), room);
    return run.map(([key, { at = from, length }]) => [key, bytes.subarray(at - from, at - from + length)]);
  }
  const recordKey = `${prefix}${first[0]}`;
  const record = await records?.find(recordKey);
  if (record === undefined) throw new StoreReadError(`${recordKey}: the object is missing`, undefined);
  return [[first[0], reveal(recordKey, record)]];
}

/** Records in order, of one moment. */
class Records {
  readonly #batches: AsyncIterator<readonly StoreRow[]>;
  #rows: readonly StoreRow[] = [];
  #next = 0;

  constructor(batches: AsyncIterable<readonly StoreRow[]>) {
    this.#batches = batches[Symbol.asyncIterator]();
  }

  /** The moment is now. */
  async begin(): Promise<void> {
    await this.#read();
  }

  /** Keys have to be asked for in order. */
  async find(recordKey: string): Promise<Buffer | undefined> {
    for (;;) {
      const row = this.#rows[this.#next];
      if (row === undefined) {
        if (!(await this.#read())) return undefined;
        continue;
      }
      if (row[0] > recordKey) return undefined;
      this.#next += 1;
      if (row[0] === recordKey) return row[1];
    }
  }

  async end(): Promise<void> {
    await this.#batches.return?.();
  }

  async #read(): Promise<boolean> {
    const { done, value } = await this.#batches.next();
    if (done === true) return false;
    this.#rows = value;
    this.#next = 0;
    return true;
  }
}

/** The index after the members that follow each other in the segment and can be read at once; of others, the next index. */
function endOfRun(sorted: Run, start: number): number {
  const from = sorted[start]?.[1].at;
  let end = start + 1;
  if (from === undefined) return end;
  for (let last = from; end < sorted.length; end += 1) {
    const member = sorted[end]?.[1];
    if (member?.at === undefined || member.at < last || member.at + member.length - from > pieceBytes) break;
    last = member.at;
  }
  return end;
}

/** Bytes from the first to the last of a run, wherever they are. */
function spanOf(run: Run): number {
  const [first, last] = [run[0]?.[1], run.at(-1)?.[1]];
  return (last?.at ?? 0) - (first?.at ?? 0) + (last?.length ?? 0);
}
