import { chmodSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SealError } from './errors.ts';
import { Seal } from './seal.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-seal-'));
  file = path.join(folder, 'store.key');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('what is sealed opens again, also after a restart, and no two records are alike', async () => {
  const seal = await Seal.open(file);
  const plain = Buffer.from('a token');
  const sealed = seal.seal(plain, 't/default/a');
  expect(sealed.includes(plain)).toBe(false);
  expect(sealed[0]).toBe(1);
  expect(seal.seal(plain, 't/default/a').equals(sealed)).toBe(false);
  const reopened = await Seal.open(file);
  expect(reopened.open(sealed, 't/default/a')).toEqual(plain);
  expect(seal.open(seal.seal(Buffer.alloc(0), 'k'), 'k')).toEqual(Buffer.alloc(0));
});

test('a record under another key name, altered in any byte, cut short or of another version does not open', async () => {
  const seal = await Seal.open(file);
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
  const other = await Seal.open(file);
  expect(() => other.open(sealed, 'a')).toThrow(SealError);
});

test('the key file is 32 bytes with mode 0600, alone in its folder, and the same for two that make it at once', async () => {
  const [first, second] = await Promise.all([Seal.open(file), Seal.open(file)]);
  expect(second.open(first.seal(Buffer.from('x'), 'k'), 'k')).toEqual(Buffer.from('x'));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(readFileSync(file)).toHaveLength(32);
  expect(readdirSync(folder)).toEqual(['store.key']);
});

test('a key file that others can read, or of a wrong size, or without a folder, is refused with the fix', async () => {
  await Seal.open(file);
  chmodSync(file, 0o644);
  await expect(Seal.open(file)).rejects.toMatchObject({
    code: 'ERR_SEAL_KEY',
    message: expect.stringContaining(`chmod 600 ${file}`),
  });
  writeFileSync(file, 'short');
  chmodSync(file, 0o600);
  await expect(Seal.open(file)).rejects.toThrow(/store\.key has 5 bytes and not 32/);
  await expect(Seal.open(path.join(folder, 'no', 'store.key'))).rejects.toThrow(/cannot be made \(ENOENT\)/);
});
