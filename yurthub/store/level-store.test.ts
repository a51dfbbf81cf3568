import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import type { StoreOp } from '../types.ts';
import { openStore, type OpenedStore, type StoreSettings } from './level-store.ts';

let folder: string;
let opened: OpenedStore[];
let clock: ManualClock;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-store-'));
  opened = [];
  clock = new ManualClock();
});
afterEach(async () => {
  for (const store of opened) await store.close();
  rmSync(folder, { recursive: true });
});

async function start(settings: Partial<StoreSettings> = {}): Promise<OpenedStore> {
  const store = await openStore(
    { log: nullLog, metrics: new Metrics(), clock },
    { directory: path.join(folder, 'store'), maxBytes: 1 << 30, ...settings },
  );
  opened.push(store);
  return store;
}
async function collect<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const row of rows) all.push(row);
  return all;
}
const put = (key: string, value: string): StoreOp => ({ type: 'put', key, value: Buffer.from(value) });
const del = (key: string): StoreOp => ({ type: 'del', key });

test('what is written is read back, in order by prefix, and after reopening', async () => {
  const store = await start();
  await store.write([put('a/2', 'two'), put('a/1', 'one'), put('a1/x', 'other'), put('b', 'bee')], 'written');
  await store.write([del('b'), put('empty', '')], 'synced');
  expect(await store.get('a/1')).toEqual(Buffer.from('one'));
  expect(await store.get('b')).toBeUndefined();
  expect(await store.get('empty')).toEqual(Buffer.alloc(0));
  await store.close();
  const again = await start();
  const rows = await collect(again.entries('a/'));
  expect(rows.map(([key, value]) => `${key}=${value.toString()}`)).toEqual(['a/1=one', 'a/2=two']);
  expect(await collect(again.keys(''))).toEqual(['a/1', 'a/2', 'a1/x', 'empty']);
  expect(again.recovery).toBe('none');
  expect(again.usage().bytes).toBeGreaterThan(0);
});

test('calls take effect in their order, however many become one batch', async () => {
  const store = await start();
  const calls: Promise<void>[] = [];
  for (let i = 0; i < 500; i += 1) calls.push(store.write([put('k', String(i)), put(`n/${i}`, 'x')], 'written'));
  calls.push(store.write([del('n/0')], 'synced'));
  calls.push(store.deletePrefix('n/1'));
  calls.push(store.write([put('n/1', 'again')], 'written'));
  await Promise.all(calls);
  expect(await store.get('k')).toEqual(Buffer.from('499'));
  const left = await collect(store.keys('n/'));
  expect(left.filter((key) => key.startsWith('n/1'))).toEqual(['n/1']);
  expect(left).not.toContain('n/0');
  expect(left).toHaveLength(500 - 1 - 111 + 1);
});

test('calls made at once share a batch', async () => {
  const metrics = new Metrics();
  const store = await openStore(
    { log: nullLog, metrics, clock },
    { directory: path.join(folder, 'store'), maxBytes: 1 << 30 },
  );
  opened.push(store);
  await Promise.all(Array.from({ length: 100 }, (_, i) => store.write([put(`k/${i}`, 'x')], 'written')));
  expect(await metrics.text()).toMatch(/holdfast_yurthub_store_batches_total 1\n/);
});

test('a scan sees one moment, whatever is written during it', async () => {
  const store = await start();
  await store.write(
    Array.from({ length: 2_000 }, (_, i) => put(`k/${String(i).padStart(5, '0')}`, 'old'.repeat(300))),
    'written',
  );
  let seen = 0;
  for await (const [, value] of store.entries('k/')) {
    if (seen === 0) await store.deletePrefix('k/');
    expect(value.toString('latin1', 0, 3)).toBe('old');
    seen += 1;
  }
  expect(seen).toBe(2_000);
  expect(await collect(store.keys('k/'))).toEqual([]);
});

test('a second store on the same folder in one process is refused, under any name of the folder, and the first goes on', async () => {
  const store = await start();
  symlinkSync(path.join(folder, 'store'), path.join(folder, 'alias'));
  for (const name of ['store', 'alias', './x/../store'])
    await expect(start({ directory: path.join(folder, name) })).rejects.toMatchObject({ code: 'ERR_STORE_LOCKED' });
  await store.write([put('a', '1')], 'synced');
  await store.close();
  expect(await (await start()).get('a')).toEqual(Buffer.from('1'));
});

test('a closed store refuses calls, and closing twice is nothing', async () => {
  const store = await start();
  const late = store.write([put('a', '1')], 'written');
  await store.close();
  await late;
  await store.close();
  expect(() => store.write([put('a', '2')], 'written')).toThrow(TypeError);
  await expect(store.get('a')).rejects.toThrow(TypeError);
  expect(await (await start()).get('a')).toEqual(Buffer.from('1'));
});

test('a key that would sort apart from its bytes is refused as misuse', async () => {
  const store = await start();
  for (const key of ['', 'a\x7f', 'ü', 'a\n'])
    expect(() => store.write([put(key, 'x')], 'written')).toThrow(/not a store key/);
});

test('beyond its size puts are refused and deletes are not, and after deletes there is room again', async () => {
  const store = await start({ maxBytes: 2 << 20, writeBufferBytes: 64 << 10 });
  const random = Buffer.alloc(64 << 10, 0);
  let refused: unknown;
  for (let i = 0; i < 64 && refused === undefined; i += 1) {
    crypto.getRandomValues(random);
    const op: StoreOp = { type: 'put', key: `k/${String(i).padStart(2, '0')}`, value: random };
    refused = await store.write([op], 'written').then(
      () => undefined,
      (error: unknown) => error,
    );
  }
  expect(refused).toMatchObject({ code: 'ERR_STORE_WRITE', message: expect.stringContaining('limit') });
  await store.deletePrefix('k/');
  clock.advance(60_000); // a full store is compacted once a minute
  await store.write([put('a', '1')], 'written');
  expect(await store.get('a')).toEqual(Buffer.from('1'));
});
