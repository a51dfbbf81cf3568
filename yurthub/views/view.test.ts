import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { OpenedStore } from '../store/level-store.ts';
import { AnswerForm } from './answer-form.ts';
import { SelectedWatcher } from './selected-watcher.ts';
import { decodeViewRecord, viewRecordKey } from './records.ts';
import type { Watcher } from './audience.ts';
import { View } from './view.ts';
import { configMapsOfShop, event, list, openStoreIn, plainCipher, presenterWith } from './view-fixture.ts';

const key = configMapsOfShop;
const settings = { residentBytes: 1 << 20, logMaxCount: 100, logMaxBytes: 1 << 20 };

const configMap = (name: string, resourceVersion: string, value = 'x', uid = `uid-${name}`): object => ({
  metadata: { name, namespace: 'shop', uid, resourceVersion },
  data: { value },
});

let folder: string;
let store: OpenedStore;
let shownAs: Map<string, string>;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'holdfast-view-'));
  store = await openStoreIn(folder);
  shownAs = new Map();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

/** An object with this value is not shown. */
const hidden = 'hidden';

/** A view whose local changes come from `shownAs`: name → value to show. */
function newView(overrides: Partial<typeof settings> = {}): View {
  const filter = {
    name: 'test',
    concerns: () => true,
    apply: (_wire: unknown, bytes: Buffer) => {
      const object = JSON.parse(bytes.toString()) as { metadata: { name: string }; data: { value: string } };
      const value = shownAs.get(object.metadata.name);
      if (value === hidden || object.data.value === hidden) return undefined;
      return value === undefined ? bytes : Buffer.from(JSON.stringify({ ...object, data: { value } }));
    },
  };
  return new View(key, { store, cipher: plainCipher, presenter: presenterWith(filter) }, { ...settings, ...overrides });
}

const bookmark = (resourceVersion: string): object => ({ metadata: { resourceVersion } });

class Client implements Watcher {
  readonly allowBookmarks: boolean;
  readonly seen: string[] = [];
  ended = false;

  constructor(allowBookmarks = false) {
    this.allowBookmarks = allowBookmarks;
  }

  deliver(frame: Buffer): void {
    const { type, object } = JSON.parse(frame.toString()) as {
      type: string;
      object: { metadata: { name?: string; resourceVersion: string }; data?: { value: string } };
    };
    const { name = '-', resourceVersion } = object.metadata;
    this.seen.push(`${type} ${name}@${resourceVersion}${object.data === undefined ? '' : ` ${object.data.value}`}`);
  }

  end(): void {
    this.ended = true;
  }
}

async function names(view: View): Promise<string[]> {
  const { items } = await view.snapshot();
  return items.map((item) => (JSON.parse(item.toString()) as { metadata: { name: string } }).metadata.name);
}

test('a snapshot has the objects in the order of the API server, at the version of the last event', async () => {
  const view = newView();
  await list(view, '10', [configMap('b', '4'), configMap('a', '9')]);
  await event(view, 'ADDED', configMap('aa', '12'));
  expect(await names(view)).toEqual(['a', 'aa', 'b']);
  expect((await view.snapshot()).resourceVersion).toBe('12');
});

test('a watch from a version gets what came after it, then what comes', async () => {
  const view = newView();
  await list(view, '10', []);
  await event(view, 'ADDED', configMap('a', '11', 'one'));
  await event(view, 'MODIFIED', configMap('a', '12', 'two'));
  const client = new Client();
  expect(await view.watchFrom('11', client)).toBe(true);
  await event(view, 'DELETED', configMap('a', '13', 'two'));
  expect(client.seen).toEqual(['MODIFIED a@12 two', 'DELETED a@13 two']);
});

test('a version older than the view answers 410', async () => {
  const view = newView();
  await list(view, '10', []);
  expect(await view.watchFrom('9', new Client())).toBe(false);
});

test('a client that is ahead of the view hears nothing that it has seen', async () => {
  const view = newView();
  await list(view, '10', []);
  const client = new Client();
  await view.watchFrom('12', client);
  await event(view, 'ADDED', configMap('a', '12'));
  await event(view, 'ADDED', configMap('b', '13'));
  expect(client.seen).toEqual(['ADDED b@13 x']);
});

test('after a gap a client gets the difference in order and a bookmark, and did not have to list', async () => {
  const view = newView();
  await list(view, '10', [configMap('kept', '1'), configMap('gone', '2'), configMap('changed', '3', 'old')]);
  const client = new Client(true);
  await view.watchFrom('10', client);
  await list(view, '50', [configMap('kept', '1'), configMap('changed', '40', 'new'), configMap('new', '30')]);
  expect(client.seen).toEqual(['ADDED new@30 x', 'MODIFIED changed@40 new', 'DELETED gone@50 x', 'BOOKMARK -@50']);
  expect(await view.watchFrom('35', new Client())).toBe(false);
  const late = new Client();
  expect(await view.watchFrom('10', late)).toBe(true);
  expect(late.seen).toEqual(client.seen.slice(0, 3));
});

test('an object made anew under its name is told as a deletion and an addition', async () => {
  const view = newView();
  await list(view, '10', [configMap('a', '5', 'old', 'uid-1')]);
  const client = new Client();
  await view.watchFrom('10', client);
  await list(view, '20', [configMap('a', '15', 'new', 'uid-2')]);
  expect(client.seen).toEqual(['DELETED a@15 old', 'ADDED a@15 new']);
});

test('a cloud restored from a backup ends all watches, so that clients list again', async () => {
  const view = newView();
  await list(view, '100', [configMap('a', '99')]);
  const client = new Client();
  await view.watchFrom('100', client);
  await list(view, '40', [configMap('a', '30')]);
  expect(client.ended).toBe(true);
  expect(await names(view)).toEqual(['a']);
});

test('a local change is told as MODIFIED, then a bookmark takes the client back to the version of the view', async () => {
  const view = newView();
  await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
  const client = new Client(true);
  await view.watchFrom('10', client);
  shownAs.set('a', 'local');
  await view.localChange((member) => member === 'shop/a');
  expect(client.seen).toEqual(['MODIFIED a@4 local', 'BOOKMARK -@10']);
  const resumed = new Client();
  await view.watchFrom('10', resumed);
  expect(resumed.seen).toEqual(['MODIFIED a@4 local']);
});

test('a local change that comes while a client is ahead of the view reaches it when the view has caught up', async () => {
  const view = newView();
  await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
  const client = new Client(true);
  await view.watchFrom('20', client);
  shownAs.set('a', 'local');
  await view.localChange(() => true);
  expect(client.seen).toEqual([]);
  await event(view, 'MODIFIED', configMap('b', '15'));
  expect(client.seen).toEqual([]);
  await event(view, 'BOOKMARK', bookmark('30'));
  await event(view, 'BOOKMARK', bookmark('31'));
  expect(client.seen).toEqual([
    'BOOKMARK -@30',
    'MODIFIED a@4 local',
    'MODIFIED b@15 x',
    'BOOKMARK -@30',
    'BOOKMARK -@31',
  ]);
});

test('a local change reaches the watch of a part of the view, though its version is known there', async () => {
  const view = newView();
  await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
  const client = new Client();
  const form = new AnswerForm(view, 'plain', 'json', { nowMs: () => 0, includeObject: 'Metadata' });
  const watcher = new SelectedWatcher(client, view, form, { namespace: 'shop', labels: [], fields: [] });
  expect(await watcher.watchFrom('10')).toBe(true);
  shownAs.set('a', 'local');
  await view.localChange(() => true);
  expect(client.seen).toEqual(['MODIFIED a@4 local']);
});

describe('an object that a filter hides', () => {
  const hide = (name: string, resourceVersion: string): object => configMap(name, resourceVersion, hidden);

  test('is in no list and no first part of a watch, and is still stored as the cloud gave it', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), hide('b', '5')]);
    expect(await names(view)).toEqual(['a']);
    const client = new Client();
    await view.watchAll(client, { endMark: false });
    expect(client.seen).toEqual(['ADDED a@4 x']);
    expect((await view.stored('shop', 'b'))?.resourceVersion).toBe('5');
  });

  test('leaves as DELETED with its last state, enters as ADDED, and what it does meanwhile is not told', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4', 'seen')]);
    const client = new Client();
    await view.watchFrom('10', client);
    await event(view, 'MODIFIED', hide('a', '11'));
    await event(view, 'MODIFIED', hide('a', '12'));
    await event(view, 'MODIFIED', configMap('a', '13', 'again'));
    await event(view, 'ADDED', hide('b', '14'));
    await event(view, 'DELETED', hide('b', '15'));
    expect(client.seen).toEqual(['DELETED a@11 seen', 'ADDED a@13 again']);
    expect(view.resourceVersion).toBe('15');
  });

  test('leaves and enters in the difference after a gap too', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '1'), hide('b', '2'), hide('c', '3')]);
    const client = new Client(true);
    await view.watchFrom('10', client);
    await list(view, '50', [hide('a', '40'), configMap('b', '41')]);
    expect(client.seen).toEqual(['DELETED a@40 x', 'ADDED b@41 x', 'BOOKMARK -@50']);
  });

  test('leaves and enters when the filter changes its mind; what looks as before is not told', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    const client = new Client();
    await view.watchFrom('10', client);
    shownAs.set('a', hidden);
    await view.localChange(() => true);
    shownAs.clear();
    await view.localChange(() => true);
    await view.localChange(() => true);
    expect(client.seen).toEqual(['DELETED a@4 x', 'ADDED a@4 x']);
  });

  test('is told as DELETED to a client that resumes after a restart and may have seen it', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    shownAs.set('a', hidden);
    const again = newView();
    await again.restore(decodeViewRecord((await store.get(viewRecordKey(key))) ?? Buffer.from('{}')));
    const client = new Client(true);
    expect(await again.watchFrom('10', client)).toBe(true);
    expect(client.seen).toEqual(['DELETED a@4 x', 'MODIFIED b@5 x', 'BOOKMARK -@10']);
  });
});

test('a restart at which every filter is of its former mind replays nothing', async () => {
  shownAs.set('a', 'local');
  const view = newView();
  await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
  const again = newView();
  await again.restore(decodeViewRecord((await store.get(viewRecordKey(key))) ?? Buffer.from('{}')));
  const client = new Client();
  await again.watchFrom('10', client);
  expect(client.seen).toEqual([]);
});

test('bookmarks move the version on, and go only to those who asked', async () => {
  const view = newView();
  await list(view, '10', []);
  const [with_, without] = [new Client(true), new Client(false)];
  await view.watchFrom('10', with_);
  await view.watchFrom('10', without);
  await event(view, 'BOOKMARK', bookmark('77'));
  expect(with_.seen).toEqual(['BOOKMARK -@77']);
  expect(without.seen).toEqual([]);
  expect(view.resourceVersion).toBe('77');
});

test('a watch-list ends its first part with the marked bookmark', async () => {
  const view = newView();
  await list(view, '10', [configMap('a', '4')]);
  const frames: string[] = [];
  await view.watchAll(
    { allowBookmarks: true, deliver: (frame) => void frames.push(frame.toString()), end: () => undefined },
    { endMark: true },
  );
  expect(frames).toHaveLength(2);
  expect(JSON.parse(frames[1] ?? '')).toMatchObject({
    type: 'BOOKMARK',
    object: { metadata: { resourceVersion: '10', annotations: { 'k8s.io/initial-events-end': 'true' } } },
  });
});

describe('after a restart', () => {
  async function restored(): Promise<View> {
    await store.close();
    store = await openStoreIn(folder);
    const record = await store.get(viewRecordKey(key));
    const view = newView();
    await view.restore(decodeViewRecord(record ?? Buffer.from('{}')));
    return view;
  }

  test('the view is what it was, and a watch goes on from its version', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    await event(view, 'DELETED', configMap('b', '11'));
    const again = await restored();
    expect(await names(again)).toEqual(['a']);
    expect(again.resourceVersion).toBe('11');
    expect(await again.watchFrom('11', new Client())).toBe(true);
    expect(await again.watchFrom('10', new Client())).toBe(false);
  });

  test('local changes that the version does not tell are made good by replaying the view', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    shownAs.set('a', 'local');
    await view.localChange((member) => member === 'shop/a');
    shownAs.clear();
    const client = new Client(true);
    expect(await (await restored()).watchFrom('10', client)).toBe(true);
    expect(client.seen).toEqual(['MODIFIED a@4 x', 'MODIFIED b@5 x', 'BOOKMARK -@10']);
  });

  test('a view that has lost objects in the store is refused, not served with holes', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    await store.deletePrefix(`object/`);
    await expect(restored()).rejects.toThrow('missing');
  });
});

test('a view too large for memory answers from the store, the same', async () => {
  const small = newView({ residentBytes: 10 });
  await list(small, '10', [configMap('b', '4'), configMap('a', '5')]);
  await event(small, 'MODIFIED', configMap('a', '11', 'new'));
  expect(await names(small)).toEqual(['a', 'b']);
  expect((await small.stored('shop', 'a'))?.bytes.toString()).toContain('"new"');
});

describe('after a repair of the store that lost objects', () => {
  test('what is in memory is written again', async () => {
    const view = newView();
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    await store.deletePrefix('object/');
    expect(await view.verify()).toBe(true);
    const again = newView();
    await again.restore(decodeViewRecord((await store.get(viewRecordKey(key))) ?? Buffer.from('{}')));
    expect(await names(again)).toEqual(['a', 'b']);
  });

  test('a view that is on disk only is given up, and answers nothing rather than a part', async () => {
    const view = newView({ residentBytes: 10 });
    await list(view, '10', [configMap('a', '4'), configMap('b', '5')]);
    await store.deletePrefix('object/');
    await expect(names(view)).rejects.toMatchObject({ code: 'ERR_STORE_READ' });
    expect(await view.verify()).toBe(false);
  });
});

test('what an earlier list left in the store is gone before a first list', async () => {
  const view = newView();
  await list(view, '10', [configMap('old', '4')]);
  const another = newView();
  await another.prepareList();
  await list(another, '20', [configMap('a', '15')]);
  const again = newView();
  await again.restore(decodeViewRecord((await store.get(viewRecordKey(key))) ?? Buffer.from('{}')));
  expect(await names(again)).toEqual(['a']);
});
