import { chmodSync, linkSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SealError } from '../errors.ts';
import { rotateKey, Seal } from './seal.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-seal-'));
  file = path.join(folder, 'store.key');
});
afterEach(() => rmSync(folder, { recursive: true }));

const open = (): Promise<Seal> => Seal.open({ file, makeIfMissing: true });

test('what is sealed opens again, also after a restart, and no two records are alike', async () => {
  const seal = await open();
  const plain = Buffer.from('a token');
  const sealed = seal.seal(plain, 't/default/a');
  expect(sealed.includes(plain)).toBe(false);
  expect(sealed[0]).toBe(2);
  expect(seal.seal(plain, 't/default/a').equals(sealed)).toBe(false);
  const reopened = await open();
  expect(reopened.open(sealed, 't/default/a')).toEqual(plain);
  expect(seal.open(seal.seal(Buffer.alloc(0), 'k'), 'k')).toEqual(Buffer.alloc(0));
});

test('a record under another key name, altered in any byte, cut short or of another version does not open', async () => {
  const seal = await open();
  const sealed = seal.seal(Buffer.from('secret'), 'a');
  const refused = (record: Buffer, context = 'a'): void => {
    expect(() => seal.open(record, context)).toThrow(expect.objectContaining({ code: 'ERR_SEAL_RECORD' }));
  };
  refused(sealed, 'b');
  for (let i = 0; i < sealed.length; i += 1) {
    const altered = Buffer.from(sealed);
    altered[i]! ^= 1;
    refused(altered);
    refused(sealed.subarray(0, i));
  }
  rmSync(file);
  const other = await open();
  expect(() => other.open(sealed, 'a')).toThrow(SealError);
});

test('the key file is 32 bytes with mode 0600, alone in its folder, and the same for two that make it at once', async () => {
  const [first, second] = await Promise.all([open(), open()]);
  expect(second.open(first.seal(Buffer.from('x'), 'k'), 'k')).toEqual(Buffer.from('x'));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file)).toHaveLength(32);
  expect(readdirSync(folder)).toEqual(['store.key']);
});

test('a key file that others can read, or of a wrong size, or without a folder, is refused with the fix', async () => {
  await open();
  chmodSync(file, 0o644);
  await expect(open()).rejects.toMatchObject({
    code: 'ERR_SEAL_KEY',
    message: expect.stringContaining(`chmod 600 ${file}`),
  });
  writeFileSync(file, 'short');
  chmodSync(file, 0o600);
  await expect(open()).rejects.toThrow(/store\.key has 5 bytes and not 32/);
  await expect(Seal.open({ file: path.join(folder, 'no', 'store.key'), makeIfMissing: true })).rejects.toThrow(
    /cannot be made \(ENOENT\)/,
  );
});

test('a key that somebody else has to give is not made up', async () => {
  await expect(Seal.open({ file, makeIfMissing: false })).rejects.toMatchObject({
    code: 'ERR_SEAL_KEY',
    message: expect.stringContaining(file),
  });
  expect(readdirSync(folder)).toEqual([]);
  // As systemd gives a credential.
  writeFileSync(file, Buffer.alloc(32, 1), { mode: 0o400 });
  expect((await Seal.open({ file, makeIfMissing: false })).rotating).toBe(false);
});

test('rotation: a new key seals, the one before it opens what it sealed, and a second rotation waits for the first', async () => {
  const before = await open();
  const sealed = before.seal(Buffer.from('a token'), 'k');
  await rotateKey(file);
  expect(readdirSync(folder).toSorted()).toEqual(['store.key', 'store.key.old']);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const during = await open();
  expect(during.rotating).toBe(true);
  expect(during.isOld(sealed)).toBe(true);
  expect(during.open(sealed, 'k')).toEqual(Buffer.from('a token'));
  const fresh = during.seal(Buffer.from('a token'), 'k');
  expect(during.isOld(fresh)).toBe(false);
  expect(() => before.open(fresh, 'k')).toThrow(expect.objectContaining({ code: 'ERR_SEAL_RECORD' }));
  await expect(rotateKey(file)).rejects.toThrow(/the last rotation is not over: .*store\.key\.old/);
  rmSync(`${file}.old`);
  expect((await open()).open(fresh, 'k')).toEqual(Buffer.from('a token'));
});

test('a rotation that ended before the new key was in place is none, and can be begun again', async () => {
  const before = await open();
  linkSync(file, `${file}.old`);
  const after = await open();
  expect(after.rotating).toBe(false);
  expect(after.open(before.seal(Buffer.from('x'), 'k'), 'k')).toEqual(Buffer.from('x'));
  await rotateKey(file);
  expect((await open()).rotating).toBe(true);
});

test('there is nothing to rotate without a key', async () => {
  await expect(rotateKey(file)).rejects.toMatchObject({ code: 'ERR_SEAL_KEY' });
  expect(readdirSync(folder)).toEqual([]);
});
