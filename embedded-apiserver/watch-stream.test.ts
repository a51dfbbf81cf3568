import { ManualClock } from '../runtime/manual-clock.ts';
import type { ResourceRequest } from '../kube/request-info.ts';
import { metadataOf } from '../kube/plain-object.ts';
import { ObjectStore } from './object-store.ts';
import { resourceKinds } from './resource-kinds.ts';
import { startWatch } from './watch-stream.ts';

const maps = resourceKinds.find(({ resource }) => resource === 'configmaps') ?? resourceKinds[0]!;
const settings = { bookmarkIntervalMs: 60_000, defaultTimeoutSeconds: 1800 };

function open(query: string, historySize = 100) {
  const store = new ObjectStore({ historySize });
  const clock = new ManualClock();
  const seen: string[] = [];
  const put = (name: string): void =>
    void store.write(maps, `default/${name}`, { metadata: { name, namespace: 'default' } });
  const start = (): (() => void) => {
    const request: ResourceRequest = {
      isResource: true,
      verb: 'watch',
      group: '',
      version: 'v1',
      namespace: 'default',
      resource: 'configmaps',
      name: '',
      subresource: '',
      query: new URLSearchParams(query.replaceAll('NOW', String(store.version))),
    };
    return startWatch({ store, clock }, settings, maps, request, {
      send: ({ type, object }) => {
        const { name, resourceVersion } = metadataOf(object) as { name?: string; resourceVersion?: string };
        seen.push([type, name ?? object['reason'], resourceVersion].filter(Boolean).join(' '));
      },
      end: () => seen.push('end'),
    });
  };
  return { store, clock, seen, put, start };
}

test('bookmarks come at each interval with the version of the moment, only where they are allowed', () => {
  const { clock, seen, put, start } = open('allowWatchBookmarks=true&resourceVersion=NOW');
  start();
  clock.advance(60_000);
  put('a');
  clock.advance(60_000);
  expect(seen).toEqual(['BOOKMARK 1', 'ADDED a 2', 'BOOKMARK 2']);

  const without = open('resourceVersion=NOW');
  without.start();
  without.clock.advance(300_000);
  expect(without.seen).toEqual([]);
});

test('timeoutSeconds ends the watch, with a last bookmark, and nothing comes after', () => {
  const { clock, seen, put, start } = open('allowWatchBookmarks=true&timeoutSeconds=90&resourceVersion=NOW');
  start();
  clock.advance(90_000);
  put('a');
  clock.advance(600_000);
  expect(seen).toEqual(['BOOKMARK 1', 'BOOKMARK 1', 'end']);
});

test('a watch that is stopped sends nothing any more', () => {
  const { clock, seen, put, start } = open('allowWatchBookmarks=true&resourceVersion=NOW');
  start()();
  put('a');
  clock.advance(600_000);
  expect(seen).toEqual([]);
});

test('history is bounded: the oldest version that can be resumed from moves on, one older gets 410', () => {
  const { seen, put, start, store } = open('resourceVersion=4', 3);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) put(name);
  expect(store.version).toBe(7);
  start();
  expect(seen).toEqual(['ADDED d 5', 'ADDED e 6', 'ADDED f 7']);

  const late = open('resourceVersion=3', 3);
  for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) late.put(name);
  late.start();
  expect(late.seen).toEqual(['ERROR Expired', 'end']);
});

test('compaction forgets everything before it, and leaves open watches alone', () => {
  const { store, seen, put, start } = open('resourceVersion=NOW');
  start();
  put('a');
  store.compact();
  put('b');
  expect(seen).toEqual(['ADDED a 2', 'ADDED b 3']);
  expect(() => store.eventsAfter(1)).toThrow(/too old resource version: 1 \(2\)/);
  expect(store.eventsAfter(2)).toHaveLength(1);
});
