// Lists of views that live on disk, read from a real store as they are written.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { StoreReadError } from '../errors.ts';
import type { OpenedStore } from '../store/level-store.ts';
import { objectPrefix } from './records.ts';
import { View } from './view.ts';
import { configMapsOfShop, event, list, openStoreIn, plainCipher, presenterWith } from './view-fixture.ts';

let folder: string;
let store: OpenedStore;
let view: View;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-stored-list-'));
  store = await openStoreIn(folder);
  const parts = { store, cipher: plainCipher, presenter: presenterWith() };
  view = new View(configMapsOfShop, parts, { residentBytes: 10, logMaxCount: 100, logMaxBytes: 1 << 20 });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const configMap = (name: string, resourceVersion: string, bytes = 10): object => ({
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion },
  data: { value: 'x'.repeat(bytes) },
});

async function bodyOf(parts: AsyncIterable<Buffer> | undefined): Promise<string> {
  const read: Buffer[] = [];
  for await (const part of parts ?? []) read.push(part);
  return Buffer.concat(read).toString();
}

test('a list is of the moment it was asked for, although the view moves on while it is read', async () => {
  const items = Array.from({ length: 40 }, (_, index) => configMap(`object-${10 + index}`, String(index), 20_000));
  const body = await list(view, '100', items);
  const stored = await view.storedList();
  await event(view, 'DELETED', configMap('object-11', '101'));
  await event(view, 'MODIFIED', configMap('object-49', '102'));
  await event(view, 'ADDED', configMap('object-50', '103'));
  expect(await bodyOf(stored?.parts)).toBe(body);
  expect(stored?.contentLength).toBe(Buffer.byteLength(body));
  const later = await bodyOf((await view.storedList())?.parts);
  expect((JSON.parse(later) as { items: unknown[] }).items).toHaveLength(40);
});

test('a list from which objects are missing does not look complete', async () => {
  await list(view, '100', [configMap('a', '1'), configMap('b', '2')]);
  await store.write([{ type: 'del', key: `${objectPrefix(configMapsOfShop)}shop/b` }], 'written');
  const stored = await view.storedList();
  await expect(bodyOf(stored?.parts)).rejects.toThrow(StoreReadError);
});

test('a view whose objects are in memory has no use for it', async () => {
  await list(view, '100', []);
  expect(await view.storedList()).toBeUndefined();
});
