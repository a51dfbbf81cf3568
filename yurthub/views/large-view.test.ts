// Views whose first list went into a segment: what changes afterwards, over restarts and damage, on a real store.
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { jsonWire as wire } from '../../kube/json/json-wire.ts';
import { StoreReadError } from '../errors.ts';
import type { OpenedStore } from '../store/level-store.ts';
import { decodeViewRecord, objectPrefix, viewRecordKey } from './records.ts';
import { View } from './view.ts';
import { configMapsOfShop, event, list, openStoreIn, plainCipher, presenterWith } from './view-fixture.ts';

const key = configMapsOfShop;
const presenter = presenterWith();

let folder: string;
let store: OpenedStore;
let view: View;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-large-view-'));
  await open();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function open(): Promise<void> {
  store = await openStoreIn(folder);
  view = newView(plainCipher);
}

function newView(hiding: typeof plainCipher): View {
  const settings = { residentBytes: 512 << 10, logMaxCount: 100, logMaxBytes: 1 << 20 };
  return new View(key, { store, cipher: hiding, presenter }, settings);
}

/** As a restart does. */
async function restart(): Promise<void> {
  await store.close();
  await open();
  await restore();
}

async function restore(): Promise<void> {
  const record = await store.get(viewRecordKey(key));
  if (record === undefined) throw new Error('the view has no record');
  await view.restore(decodeViewRecord(record));
}

const object = (name: string, resourceVersion: string, bytes = 20_000): object => ({
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion },
  data: { value: `${resourceVersion} `.repeat(bytes / 4) },
});

const names = Array.from({ length: 60 }, (_, index) => `object-${10 + index}`);

/** More than a megabyte. */
async function listLarge(to: View = view): Promise<void> {
  await to.prepareList();
  const items = names.map((name) => object(name, '1'));
  await list(to, '100', items, 100_000);
}

async function segmentFiles(): Promise<string[]> {
  return await readdir(path.join(folder, 'store', 'segments')).catch(() => []);
}

/** Names and versions in the order of a list, which has to be the same however it is read. */
async function content(): Promise<string[]> {
  const parts: Buffer[] = [];
  for await (const part of (await view.storedList())?.parts ?? []) parts.push(part);
  const streamed = (JSON.parse(Buffer.concat(parts).toString()) as { items: unknown[] }).items;
  const { items } = await view.snapshot();
  expect(streamed).toEqual(items.map((item): unknown => JSON.parse(item.toString())));
  const page = await view.page({ prefix: '', from: '', limit: 1_000, selects: () => true });
  expect(page.items.map(String)).toEqual(items.map(String));
  return items.map((item) => {
    const { name, resourceVersion } = wire.meta(item);
    return `${name} ${resourceVersion}`;
  });
}

const first = names.map((name) => `${name} 1`);

test('what changed, went and came since the first list is as it was after a restart', async () => {
  await listLarge();
  expect(await segmentFiles()).toHaveLength(1);
  expect(await content()).toEqual(first);
  await event(view, 'MODIFIED', object('object-20', '101'));
  await event(view, 'DELETED', object('object-30', '102'));
  await event(view, 'ADDED', object('object-105', '103'));
  await event(view, 'ADDED', object('object-40-new', '104'));
  await event(view, 'DELETED', object('object-40-new', '105'));
  await event(view, 'DELETED', object('object-50', '106'));
  await event(view, 'ADDED', object('object-50', '107'));
  await event(view, 'MODIFIED', object('object-51', '108'));
  await event(view, 'DELETED', object('object-51', '109'));
  const expected = names
    .filter((name) => name !== 'object-30' && name !== 'object-51')
    .map((name) => `${name} ${({ 'object-20': '101', 'object-50': '107' } as Record<string, string>)[name] ?? '1'}`);
  expected.splice(1, 0, 'object-105 103');
  expected.sort();
  expect(await content()).toEqual(expected);
  await restart();
  expect(view.resourceVersion).toBe('109');
  expect(await content()).toEqual(expected);
  // Gone a second time, and nothing of the segment comes back.
  await event(view, 'DELETED', object('object-50', '110'));
  await restart();
  expect(await content()).toEqual(expected.filter((line) => !line.startsWith('object-50')));
});

test('an object without a change since the first list has no record, and one that came and went leaves none', async () => {
  await listLarge();
  await event(view, 'ADDED', object('visitor', '101'));
  await event(view, 'DELETED', object('visitor', '102'));
  for await (const recordKey of store.keys(objectPrefix(key))) throw new Error(`there is ${recordKey}`);
});

test('a list that is being read is of its moment, although its view changes and is dropped meanwhile', async () => {
  await listLarge();
  await event(view, 'MODIFIED', object('object-69', '101'));
  const stored = await view.storedList();
  await event(view, 'DELETED', object('object-10', '102'));
  await event(view, 'MODIFIED', object('object-69', '103'));
  view.drop();
  const read: Buffer[] = [];
  for await (const part of stored?.parts ?? []) read.push(part);
  const list = JSON.parse(Buffer.concat(read).toString()) as { items: { metadata: { resourceVersion: string } }[] };
  expect(list.items).toHaveLength(60);
  expect(list.items.at(-1)?.metadata.resourceVersion).toBe('101');
});

test('after a repair that lost a deletion it is written again; a change that is lost is found', async () => {
  await listLarge();
  await event(view, 'DELETED', object('object-30', '101'));
  await event(view, 'MODIFIED', object('object-20', '102'));
  await store.write([{ type: 'del', key: `${objectPrefix(key)}shop/object-30` }], 'written');
  expect(await view.verify()).toBe(true);
  await restart();
  expect(await content()).toHaveLength(59);
  await store.write([{ type: 'del', key: `${objectPrefix(key)}shop/object-20` }], 'written');
  expect(await view.verify()).toBe(false);
  await store.close();
  await open();
  await expect(restore()).rejects.toThrow('missing from the store, or old');
});

test('a segment without its view is no view, and the next list begins anew', async () => {
  await listLarge();
  view.drop();
  await store.write([{ type: 'del', key: viewRecordKey(key) }], 'written');
  view = newView(plainCipher);
  await listLarge();
  expect(await segmentFiles()).toHaveLength(1);
  await restart();
  expect(await content()).toEqual(first);
});

test('a list that broke off leaves nothing', async () => {
  const load = view.beginList(wire);
  const item = (name: string): { bytes: Buffer } => ({ bytes: Buffer.from(JSON.stringify(object(name, '1'))) });
  await load.add(names.map((name) => ({ namespace: 'shop', name, uid: name, resourceVersion: '1', ...item(name) })));
  expect(await segmentFiles()).toHaveLength(1);
  await load.abandon();
  expect(await segmentFiles()).toEqual([]);
});

test('what has to be hidden at rest is in records, each by itself', async () => {
  const sealed = newView({ ...plainCipher, hides: () => true });
  await listLarge(sealed);
  expect(await segmentFiles()).toEqual([]);
  let records = 0;
  for await (const _key of store.keys(objectPrefix(key))) records += 1;
  expect(records).toBe(60);
});

test('a damaged segment is said to be damaged, not to be worth another try', async () => {
  await listLarge();
  await store.close();
  const [file = ''] = await segmentFiles();
  await rm(path.join(folder, 'store', 'segments', file));
  await open();
  const failure = await restore().catch((error: unknown) => error);
  expect(failure).toMatchObject({ message: 'a segment is missing' });
  expect(failure).not.toBeInstanceOf(StoreReadError);
});
