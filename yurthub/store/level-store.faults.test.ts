// The store on a disk that fails: real LevelDB, real processes, real small and read-only file systems (needs root, as CI has).
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import type { StoreOp } from '../types.ts';
import { openStore, type OpenedStore, type StoreSettings } from './level-store.ts';

let folder: string;
let directory: string;
let opened: OpenedStore[];
let mounts: string[];
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-faults-'));
  directory = path.join(folder, 'store');
  opened = [];
  mounts = [];
});
afterEach(async () => {
  for (const store of opened) await store.close();
  for (const mount of mounts.toReversed()) execFileSync('umount', [mount]);
  rmSync(folder, { recursive: true });
});

async function start(settings: Partial<StoreSettings> = {}): Promise<OpenedStore> {
  const store = await openStore(
    { log: nullLog, metrics: new Metrics(), clock: systemClock },
    { directory, maxBytes: 1 << 30, writeBufferBytes: 64 << 10, ...settings },
  );
  opened.push(store);
  return store;
}
function mountTmpfs(where: string, options: string): void {
  mkdirSync(where, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'holdfast-test', where]);
  mounts.push(where);
}
/** A worker process on the same folder; see store-worker.ts for what it does. */
function worker(...args: string[]) {
  const child = spawn(process.execPath, [path.join(__dirname, 'store-worker.testing.ts'), directory, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return { child, lines: readline.createInterface({ input: child.stdout }) };
}
const put = (key: string, value: Buffer): StoreOp => ({ type: 'put', key, value });
const noise = (bytes: number): Buffer => randomBytes(bytes);
const name = (i: number): string => `k/${String(i).padStart(5, '0')}`;

/** 400 keys of 2 KB in several tables, closed. */
async function filled(): Promise<void> {
  const store = await start();
  for (let i = 0; i < 400; i += 10)
    await store.write(
      Array.from({ length: 10 }, (_, j) => put(name(i + j), noise(2_000))),
      'written',
    );
  await store.close();
}
async function count(store: OpenedStore): Promise<number> {
  let keys = 0;
  for await (const _key of store.keys('k/')) keys += 1;
  return keys;
}
const filesOf = (suffix: string): string[] =>
  readdirSync(directory)
    .filter((file) => file.endsWith(suffix) || file.startsWith(suffix))
    .sort()
    .map((file) => path.join(directory, file));

test('kill -9 at any moment: every acknowledged batch is there, and none by half', async () => {
  for (let round = 0; round < 6; round += 1) {
    const { child, lines } = worker('write', String(round));
    let acknowledged = -1;
    for await (const line of lines) {
      acknowledged = Number(line);
      if (acknowledged === 20 + round * 37) child.kill('SIGKILL');
    }
    const store = await start();
    const perBatch = new Map<string, number>();
    for await (const key of store.keys(`b/${round}/`)) {
      const batch = key.split('/')[2]!;
      perBatch.set(batch, (perBatch.get(batch) ?? 0) + 1);
    }
    expect(new Set(perBatch.values())).toEqual(new Set([10]));
    expect(perBatch.size).toBeGreaterThan(acknowledged);
    expect(store.recovery).toBe('none');
    await store.close();
  }
});

test('CURRENT is missing: the tables are repaired and not deleted', async () => {
  await filled();
  rmSync(path.join(directory, 'CURRENT'));
  const store = await start();
  expect(store.recovery).toBe('repaired');
  expect(await count(store)).toBe(400);
});

test.each(['MANIFEST', 'CURRENT'])('%s is garbage or empty: repaired', async (file) => {
  await filled();
  for (const content of ['', 'garbage\n'.repeat(50)]) {
    for (const target of filesOf(file)) writeFileSync(target, content);
    const store = await start();
    expect(store.recovery).toBe('repaired');
    expect(await count(store)).toBe(400);
    await store.close();
  }
});

test('after a repair a read gives the newest version of a key, not that of the newest file', async () => {
  const store = await start();
  for (let round = 0; round < 30; round += 1)
    for (let i = 0; i < 20; i += 1)
      await store.write([put(name(i), Buffer.concat([Buffer.from([round]), noise(2_000)]))], 'written');
  await store.close();
  rmSync(path.join(directory, 'CURRENT'));
  const repaired = await start();
  for (let i = 0; i < 20; i += 1) expect((await repaired.get(name(i)))?.[0]).toBe(29);
});

test.each([
  ['cut to nothing', (file: string) => truncateSync(file, 0)],
  ['cut to half', (file: string) => truncateSync(file, statSync(file).size >> 1)],
  ['zeroed', (file: string) => writeFileSync(file, Buffer.alloc(statSync(file).size))],
  ['removed', (file: string) => rmSync(file)],
])('a table is %s: reads go on without it, and writes too', async (_how, damage) => {
  await filled();
  damage(filesOf('.ldb')[0]!);
  const store = await start();
  const left = await count(store).catch(() => count(store)); // a scan that had begun says so and is started again
  expect(left).toBeGreaterThan(200);
  expect(left).toBeLessThan(400);
  expect(store.recovery).toBe('repaired');
  await store.write([put('k/new', noise(10))], 'synced');
  for (let i = 0; i < 400; i += 1) await store.get(name(i));
  expect(await count(store)).toBe(left + 1);
});

test.each([
  ['cut', (file: string) => truncateSync(file, statSync(file).size - 7)],
  ['garbage at its end', (file: string) => writeFileSync(file, Buffer.concat([readFileSync(file), noise(500)]))],
])('the log is %s: everything before that is there, batches whole', async (_how, damage) => {
  const store = await start({ writeBufferBytes: 4 << 20 });
  for (let i = 0; i < 10; i += 1) await store.write([put(`a/${i}`, noise(100)), put(`b/${i}`, noise(100))], 'written');
  await store.close();
  damage(filesOf('.log').at(-1)!);
  const again = await start();
  for (let i = 0; i < 9; i += 1) expect(await again.get(`a/${i}`)).toHaveLength(100);
  expect((await again.get('a/9')) === undefined).toBe((await again.get('b/9')) === undefined);
});

test('another process holds the folder: a clear refusal, the other undisturbed, and free again when it is killed', async () => {
  const { child, lines } = worker('hold');
  await once(lines, 'line');
  await expect(start()).rejects.toMatchObject({
    code: 'ERR_STORE_LOCKED',
    message: expect.stringContaining(`${directory} is in use by another process; stop the other holdfast`),
  });
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(await (await start()).get('held')).toEqual(Buffer.from('yes'));
});

test('a read-only folder is refused with its name', async () => {
  await filled();
  execFileSync('mount', ['--bind', directory, directory]);
  mounts.push(directory);
  execFileSync('mount', ['-o', 'remount,bind,ro', directory]);
  await expect(start()).rejects.toMatchObject({
    code: 'ERR_STORE_ACCESS',
    message: expect.stringContaining(directory),
  });
});

test('a full disk: accepted writes are readable and reach the disk when there is room; beyond the bound, refusals', async () => {
  mountTmpfs(directory, 'size=2m');
  const ballast = path.join(directory, 'ballast');
  const store = await start({ retryMs: 20, maxRetryMs: 50, maxPendingBytes: 128 << 10 });
  await store.write([put('before', Buffer.from('1')), put('gone', Buffer.from('1'))], 'synced');
  writeFileSync(ballast, noise(1 << 20));
  const kept: string[] = [];
  let refused: unknown;
  for (let i = 0; refused === undefined && i < 500; i += 1) {
    refused = await store.write([put(name(i), noise(8_000))], 'written').then(
      () => void kept.push(name(i)),
      (error: unknown) => error,
    );
  }
  expect(refused).toMatchObject({ code: 'ERR_STORE_WRITE' });
  expect(store.degraded).toBe(true);
  await expect(store.write([put('s', noise(1))], 'synced')).rejects.toMatchObject({ code: 'ERR_STORE_WRITE' });
  expect(await store.get('before')).toEqual(Buffer.from('1'));
  expect(await count(store)).toBe(kept.length);
  const healed = new Promise<void>(
    (resolve) => void store.onStateChange(({ degraded }) => void (degraded || resolve())),
  );
  rmSync(ballast);
  await healed;
  expect(store.degraded).toBe(false);
  await store.write([{ type: 'del', key: 'gone' }], 'synced');
  await store.close();
  const again = await start();
  expect(await count(again)).toBe(kept.length);
  for (const key of kept) expect(await again.get(key)).toHaveLength(8_000);
  expect(await again.get('gone')).toBeUndefined();
});
