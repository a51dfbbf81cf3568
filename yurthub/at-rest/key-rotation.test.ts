// The store's key: wrong, rotated, and rotated by a process that is killed in the middle.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog, type Log } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { KeyRotation } from './key-rotation.ts';
import { rotateKey, Seal } from './seal.ts';
import { openSealedStore } from './sealed-store.ts';
import type { OpenedStore } from '../store/level-store.ts';

let folder: string;
let directory: string;
let keyFile: string;
let said: string[];
const log: Log = { ...nullLog, error: (message, fields) => void said.push(`${message} ${JSON.stringify(fields)}`) };
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-rotation-'));
  directory = path.join(folder, 'store');
  keyFile = path.join(folder, 'store.key');
  said = [];
});
afterEach(() => rmSync(folder, { recursive: true }));

async function openBoth(): Promise<{ seal: Seal; store: OpenedStore }> {
  const seal = await Seal.open({ file: keyFile, makeIfMissing: true });
  const parts = { log, metrics: new Metrics(), clock: systemClock };
  return { seal, store: await openSealedStore(parts, { directory, maxBytes: 1 << 30 }, seal) };
}

/** Every kind of sealed record, and what is not sealed beside them. */
const secret = (at: number): string => `object/protobuf,,v1,secrets,default,,/default/s${String(at).padStart(3, '0')}`;
const token = (at: number): string => `token/${at}`;
const singles = ['single/', 'account-single/system%3Aserviceaccount%3Aa%3Ab,uid'].map(
  (prefix) => `${prefix}/api/v1/namespaces/default/secrets/read#form`,
);
const plainKeys = ['single//api/v1/nodes/edge1#form', 'object/json,,v1,configmaps,,,/default/plain'];
const count = 60;

async function fill(seal: Seal, store: OpenedStore): Promise<void> {
  const put = (key: string, value: Buffer) => ({ type: 'put', key, value }) as const;
  for (let at = 0; at < count; at += 1) {
    const time = Buffer.alloc(8, at);
    await store.write(
      [
        put(secret(at), seal.seal(Buffer.from(`secret ${at}`), secret(at))),
        put(token(at), Buffer.concat([time, seal.seal(Buffer.from(`token ${at}`), token(at))])),
      ],
      'written',
    );
  }
  for (const single of singles) await store.write([put(single, seal.seal(Buffer.from('single'), single))], 'written');
  await store.write(
    plainKeys.map((key) => put(key, Buffer.from(`plain ${key}`))),
    'written',
  );
}

async function expectAll(seal: Seal, store: OpenedStore): Promise<void> {
  for (let at = 0; at < count; at += 1) {
    expect(String(seal.open((await store.get(secret(at)))!, secret(at)))).toBe(`secret ${at}`);
    const record = (await store.get(token(at)))!;
    expect(record.subarray(0, 8)).toEqual(Buffer.alloc(8, at));
    expect(String(seal.open(record.subarray(8), token(at)))).toBe(`token ${at}`);
  }
  for (const single of singles) expect(String(seal.open((await store.get(single))!, single))).toBe('single');
  for (const key of plainKeys) expect(String(await store.get(key))).toBe(`plain ${key}`);
}

const rotate = (seal: Seal, store: OpenedStore, signal = new AbortController().signal): Promise<void> =>
  new KeyRotation(
    { store, seal, log, clock: systemClock },
    { storeDirectory: directory, keyFile, batchBytes: 500, pauseMs: 0 },
  ).run(signal);

async function filled(): Promise<void> {
  const { seal, store } = await openBoth();
  await fill(seal, store);
  await store.close();
}

test('after a rotation everything opens with the new key alone, and the old one is gone', async () => {
  await filled();
  await rotateKey(keyFile);
  const { seal, store } = await openBoth();
  await expectAll(seal, store);
  await rotate(seal, store);
  await store.close();
  expect(readdirSync(folder).toSorted()).toEqual(['store', 'store.key']);
  const after = await openBoth();
  expect(after.seal.rotating).toBe(false);
  await expectAll(after.seal, after.store);
  await after.store.close();
});

test('what the old key had sealed is not in the files any more', async () => {
  await filled();
  const before = await openBoth();
  // Its nonce: blocks are compressed, so that a longer part might be cut in two.
  const sealed = (await before.store.get(secret(7)))!.subarray(5, 17);
  await before.store.close();
  const inFiles = (): boolean =>
    readdirSync(directory).some((name) => readFileSync(path.join(directory, name)).includes(sealed));
  expect(inFiles()).toBe(true);
  await rotateKey(keyFile);
  const { seal, store } = await openBoth();
  await rotate(seal, store);
  await store.close();
  expect(inFiles()).toBe(false);
});

test('a record that is replaced or deleted while the key is rotated stays so', async () => {
  await filled();
  await rotateKey(keyFile);
  const { seal, store } = await openBoth();
  const rotating = rotate(seal, store);
  const written = [];
  for (let at = 0; at < count; at += 2) {
    written.push(
      store.write(
        [{ type: 'put', key: secret(at), value: seal.seal(Buffer.from(`new ${at}`), secret(at)) }],
        'written',
      ),
      store.write([{ type: 'del', key: secret(at + 1) }], 'written'),
    );
    await written.at(-1);
  }
  await rotating;
  for (let at = 0; at < count; at += 2) {
    expect(String(seal.open((await store.get(secret(at)))!, secret(at)))).toBe(`new ${at}`);
    expect(await store.get(secret(at + 1))).toBeUndefined();
  }
  await store.close();
});

test('kill -9 in the middle, again and again: nothing is lost, both keys stay until the end, and the next start goes on', async () => {
  await filled();
  await rotateKey(keyFile);
  for (let round = 0; round < 5; round += 1) {
    const child = spawn(process.execPath, [path.join(__dirname, 'key-rotation.testing.ts'), directory, keyFile], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let batches = 0;
    for await (const _ of createInterface({ input: child.stdout })) {
      batches += 1;
      if (batches === 3 + 7 * round) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    expect(child.signalCode).toBe('SIGKILL');
    expect(existsSync(`${keyFile}.old`)).toBe(true);
    const { seal, store } = await openBoth();
    await expectAll(seal, store);
    await store.close();
  }
  expect(said).toEqual([]);
  const { seal, store } = await openBoth();
  await rotate(seal, store);
  await expectAll(seal, store);
  await store.close();
  expect(existsSync(`${keyFile}.old`)).toBe(false);
});

test('a stop in the middle leaves the old key for the next start', async () => {
  await filled();
  await rotateKey(keyFile);
  const { seal, store } = await openBoth();
  const stop = new AbortController();
  stop.abort();
  await rotate(seal, store, stop.signal);
  expect(existsSync(`${keyFile}.old`)).toBe(true);
  await expectAll(seal, store);
  await store.close();
});

test('a store of another key is set aside whole, said so with its place, and opens when both are put back', async () => {
  await filled();
  renameSync(keyFile, `${folder}/kept.key`);
  const other = await openBoth();
  expect(await other.store.get(plainKeys[0]!)).toBeUndefined();
  await other.store.close();
  const aside = readdirSync(folder).find((name) => name.startsWith('store.other-key-'));
  expect(said).toEqual([expect.stringContaining('sealed with another key')]);
  expect(said[0]).toContain('ERR_SEAL_STORE');
  expect(said[0]).toContain(aside);
  rmSync(directory, { recursive: true });
  renameSync(path.join(folder, aside!), directory);
  renameSync(`${folder}/kept.key`, keyFile);
  const again = await openBoth();
  await expectAll(again.seal, again.store);
  await again.store.close();
});

test('keys that change at every start do not fill the disk, and nothing is deleted to make room', async () => {
  for (let round = 0; round < 4; round += 1) {
    rmSync(keyFile, { force: true });
    await (await openBoth()).store.close();
  }
  rmSync(keyFile, { force: true });
  await expect(openBoth()).rejects.toMatchObject({
    code: 'ERR_SEAL_STORE',
    message: expect.stringContaining('3 others'),
  });
  expect(readdirSync(folder).filter((name) => name.startsWith('store.other-key-'))).toHaveLength(3);
});

test('a damaged note of the key is no other key: the store opens as it is, and the note is written again', async () => {
  await filled();
  const note = path.join(directory, 'key-check');
  const good = readFileSync(note);
  for (const garbled of [Buffer.alloc(good.length, 7), good.subarray(0, 10), Buffer.alloc(0)]) {
    writeFileSync(note, garbled);
    const { seal, store } = await openBoth();
    await expectAll(seal, store);
    await store.close();
    expect(readFileSync(note)).toHaveLength(good.length);
  }
  expect(said).toEqual([]);
});
