// Lists of views that live on disk, read from a real store as they are written.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { jsonWire as wire } from '../../kube/json/json-wire.ts';
import { StoreReadError } from '../errors.ts';
import { openStore, type OpenedStore } from '../store/level-store.ts';
import type { ViewKey } from '../types.ts';
import { Presenter } from './presenter.ts';
import { objectPrefix } from './records.ts';
import { View } from './view.ts';

const key: ViewKey = {
  group: '',
  version: 'v1',
  resource: 'configmaps',
  namespace: 'shop',
  labelSelector: '',
  fieldSelector: '',
  encoding: 'json',
};
const cipher = {
  hides: () => false,
  protect: (_of: unknown, _key: string, record: Buffer) => record,
  reveal: (_of: unknown, _key: string, record: Buffer) => record,
};
const presenter = new Presenter({
  overlay: () => ({ concerns: () => false, lookup: () => undefined }),
  filters: [],
  cloudSaw: () => undefined,
  failed: () => undefined,
});

let folder: string;
let store: OpenedStore;
let view: View;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-stored-list-'));
  const parts = { log: nullLog, metrics: new Metrics(), clock: systemClock };
  store = await openStore(parts, { directory: path.join(folder, 'store'), maxBytes: 1 << 30 });
  view = new View(key, { store, cipher, presenter }, { residentBytes: 10, logMaxCount: 100, logMaxBytes: 1 << 20 });
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

const configMap = (name: string, resourceVersion: string, bytes = 10): object => ({
  metadata: { name, namespace: 'shop', uid: `uid-${name}`, resourceVersion },
  data: { value: 'x'.repeat(bytes) },
});

/** As the API server would send it. */
async function list(resourceVersion: string, items: object[]): Promise<string> {
  const body = `${JSON.stringify({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: { resourceVersion }, items })}\n`;
  const load = view.beginList(wire);
  const scanner = wire.listScanner({ maxItemBytes: 1 << 20 });
  await load.add(scanner.push(Buffer.from(body)));
  await view.finishList(load, scanner.end());
  return body;
}

async function event(type: string, object: object): Promise<void> {
  const text = `${JSON.stringify({ type, object: { kind: 'ConfigMap', apiVersion: 'v1', ...object } })}\n`;
  await view.apply(wire.watchScanner({ maxFrameBytes: 1 << 20 }).push(Buffer.from(text)));
}

async function bodyOf(parts: AsyncIterable<Buffer> | undefined): Promise<string> {
  const read: Buffer[] = [];
  for await (const part of parts ?? []) read.push(part);
  return Buffer.concat(read).toString();
}

test('a list is of the moment it was asked for, although the view moves on while it is read', async () => {
  const items = Array.from({ length: 40 }, (_, index) => configMap(`object-${10 + index}`, String(index), 20_000));
  const body = await list('100', items);
  const stored = await view.storedList();
  await event('DELETED', configMap('object-11', '101'));
  await event('MODIFIED', configMap('object-49', '102'));
  await event('ADDED', configMap('object-50', '103'));
  expect(await bodyOf(stored?.parts)).toBe(body);
  expect(stored?.contentLength).toBe(Buffer.byteLength(body));
  const later = await bodyOf((await view.storedList())?.parts);
  expect((JSON.parse(later) as { items: unknown[] }).items).toHaveLength(40);
});

test('a list from which objects are missing does not look complete', async () => {
  await list('100', [configMap('a', '1'), configMap('b', '2')]);
  await store.write([{ type: 'del', key: `${objectPrefix(key)}shop/b` }], 'written');
  const stored = await view.storedList();
  await expect(bodyOf(stored?.parts)).rejects.toThrow(StoreReadError);
});

test('a view whose objects are in memory has no use for it', async () => {
  await list('100', []);
  expect(await view.storedList()).toBeUndefined();
});
