import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StoreReadError, StoreWriteError } from '../errors.ts';
import type { Segment } from '../types.ts';
import { SegmentFiles } from './segment-files.ts';

let folder: string;
let segments: SegmentFiles;
let full: boolean;
let written: number;

beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), 'holdfast-segments-')), 'segments');
  full = false;
  written = 0;
  segments = newSegments();
});
afterEach(async () => {
  await segments.close();
  await rm(path.dirname(folder), { recursive: true });
});

function newSegments(): SegmentFiles {
  return new SegmentFiles({
    directory: folder,
    admit: () => {
      if (full) throw new StoreWriteError('full', undefined);
    },
    wrote: (bytes) => void (written += bytes),
  });
}

async function write(name: string, entries: readonly Buffer[]): Promise<{ segment: Segment; places: number[] }> {
  const writer = await segments.create(name);
  const places: number[] = [];
  for (const bytes of entries) {
    await writer.room(bytes.length);
    places.push(writer.append(bytes));
  }
  return { segment: await writer.finish(), places };
}

async function contentOf(segment: Segment): Promise<{ at: number; text: string }[]> {
  const entries: { at: number; text: string }[] = [];
  for await (const some of segment.entries())
    for (const { at, bytes } of some) entries.push({ at, text: bytes.toString() });
  return entries;
}

/** Of sizes from nothing to beyond a block. */
const objects = [10, 0, 300_000, 400_000, 1_500_000, 7].map((bytes, index) => Buffer.alloc(bytes, `${index}`));

test('what was appended is read again: one by one, all of it, and by a later process', async () => {
  const { segment, places } = await write('a', objects);
  for (const [index, bytes] of objects.entries())
    expect((await segment.read(places[index] ?? 0, bytes.length)).equals(bytes)).toBe(true);
  const expected = objects.map((bytes, index) => ({ at: places[index], text: bytes.toString() }));
  expect(await contentOf(segment)).toEqual(expected);
  const size = await segments.bytes();
  expect(written).toBe(size);
  await segments.close();
  segments = newSegments();
  expect(await contentOf(await segments.open('a'))).toEqual(expected);
  expect(await segments.bytes()).toBe(size);
});

test('a new segment takes the place of an earlier one, which can be read to its end', async () => {
  const { segment: earlier, places } = await write('a', [Buffer.from('earlier')]);
  const release = earlier.hold();
  const { segment: later } = await write('a', [Buffer.from('later')]);
  const closed = earlier.close();
  expect((await earlier.read(places[0] ?? 0, 7)).toString()).toBe('earlier');
  release();
  await closed;
  await expect(earlier.read(places[0] ?? 0, 7)).rejects.toThrow(StoreReadError);
  expect(await contentOf(later)).toMatchObject([{ text: 'later' }]);
  expect(await readdir(folder)).toHaveLength(1);
});

test('damage is found: a byte that changed, an end that is missing, a file that is none or gone', async () => {
  await write('a', objects);
  await segments.close();
  const file = path.join(folder, (await readdir(folder))[0] ?? '');
  const whole = await readFile(file);
  const damages: (() => Promise<void>)[] = [
    () => writeFile(file, whole.with(2_000, 255)),
    () => truncate(file, whole.length - 1),
    () => writeFile(file, 'something else'),
  ];
  for (const damage of damages) {
    await writeFile(file, whole);
    await damage();
    const segment = await segments.open('a');
    await expect(contentOf(segment)).rejects.toThrow('a segment is damaged');
    await segment.close();
  }
  await rm(file);
  await expect(segments.open('a')).rejects.toThrow('a segment is missing');
});

test('segments that nothing names are removed, but not one that is being written', async () => {
  for (const name of ['kept', 'orphan']) await write(name, [Buffer.from(name)]);
  await segments.close();
  segments = newSegments();
  const writer = await segments.create('new');
  await segments.retain(['kept']);
  expect(await readdir(folder)).toHaveLength(2);
  expect(await contentOf(await segments.open('kept'))).toMatchObject([{ text: 'kept' }]);
  await writer.abandon();
  await segments.remove('kept');
  expect(await readdir(folder)).toEqual([]);
});

test('a full store takes no new segment, and no more of one that was begun', async () => {
  const writer = await segments.create('a');
  writer.append(Buffer.alloc(400_000));
  full = true;
  await expect(writer.room(400_000)).rejects.toThrow(StoreWriteError);
  await writer.abandon();
  await expect(segments.create('b')).rejects.toThrow(StoreWriteError);
  expect(await readdir(folder)).toEqual([]);
});
