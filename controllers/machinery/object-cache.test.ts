import fc from 'fast-check';
import { ObjectCache, type Change } from './object-cache.ts';
import { keyOf, type ApiObject } from './resource.ts';

interface Thing extends ApiObject {
  readonly colour: string;
}

function thing(name: string, version: number, colour = 'red', uid = `${name}-uid`): Thing {
  return { metadata: { name, uid, resourceVersion: String(version) }, colour };
}

function cacheWithLog(): { cache: ObjectCache<Thing>; log: string[] } {
  const log: string[] = [];
  const describe = ({ key, before, after }: Change<Thing>): string =>
    `${key}: ${before?.colour ?? '-'} -> ${after?.colour ?? '-'}`;
  const cache = new ObjectCache<Thing>({ colour: ({ colour }) => [colour] }, (change) => log.push(describe(change)));
  return { cache, log };
}

test('an event that was seen before, or an older one, is no change', () => {
  const { cache, log } = cacheWithLog();
  cache.put(thing('a', 5));
  cache.put(thing('a', 5, 'blue'));
  cache.put(thing('a', 4, 'blue'));
  expect(log).toEqual(['a: - -> red']);
});

test('a new version that differs in nothing that is kept wakes nobody, and its version counts', () => {
  const { cache, log } = cacheWithLog();
  cache.put(thing('a', 5));
  cache.put(thing('a', 9));
  expect(log).toEqual(['a: - -> red']);
  expect(cache.get('a')?.metadata.resourceVersion).toBe('9');
});

test('an object made again under its name is gone and new', () => {
  const { cache, log } = cacheWithLog();
  cache.put(thing('a', 5));
  cache.put(thing('a', 9, 'blue', 'second'));
  cache.remove(thing('a', 8, 'red'));
  expect(log).toEqual(['a: - -> red', 'a: red -> -', 'a: - -> blue']);
});

test('a list that is older than our own write does not undo it', () => {
  const { cache, log } = cacheWithLog();
  cache.replace([thing('a', 5)], '5');
  cache.listBegins();
  cache.written(thing('a', 7, 'blue'));
  cache.written(thing('b', 8, 'green'));
  cache.replace([thing('a', 5)], '6');
  expect(log).toEqual(['a: - -> red', 'a: red -> blue', 'b: - -> green']);
});

test('the answer to a write that comes after the news that the object is gone does not bring it back', () => {
  const { cache, log } = cacheWithLog();
  cache.put(thing('a', 5));
  cache.remove(thing('a', 9));
  cache.written(thing('a', 7, 'blue'));
  expect([...cache.values()]).toEqual([]);
  cache.written(thing('a', 12, 'green', 'made again'));
  expect(log).toEqual(['a: - -> red', 'a: red -> -', 'a: - -> green']);
});

test('a cluster that was restored from a backup goes back', () => {
  const { cache } = cacheWithLog();
  cache.replace([thing('a', 50, 'blue'), thing('b', 51)], '60');
  cache.listBegins();
  cache.replace([thing('a', 5)], '6');
  expect([...cache.values()]).toEqual([thing('a', 5)]);
});

test('whatever happens, the indexes say what a scan of all objects says, and the changes add up to what is there', () => {
  const names = fc.constantFrom('a', 'b', 'c');
  const colours = fc.constantFrom('red', 'blue');
  const uids = fc.constantFrom('1', '2');
  const step = fc.oneof(
    fc.record({
      do: fc.constantFrom('put' as const, 'remove' as const, 'written' as const),
      name: names,
      colour: colours,
      uid: uids,
      version: fc.nat(30),
    }),
    fc.record({
      do: fc.constant('replace'),
      version: fc.nat(30),
      colours: fc.uniqueArray(fc.tuple(names, colours), { selector: ([name]) => name }),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const added = new Map<string, Thing>();
      const cache = new ObjectCache<Thing>({ colour: ({ colour }) => [colour] }, ({ key, before, after }) => {
        expect(added.get(key)?.colour).toBe(before?.colour);
        const uids = [before, after].flatMap((object) => object?.metadata.uid ?? []);
        expect(new Set(uids).size).toBe(1);
        if (after === undefined) added.delete(key);
        else added.set(key, after);
      });
      for (const each of steps) {
        if ('colours' in each) {
          cache.listBegins();
          cache.replace(
            each.colours.map(([name, colour]) => thing(name, each.version, colour)),
            String(each.version),
          );
        } else cache[each.do](thing(each.name, each.version, each.colour, each.uid));
        const all = [...cache.values()];
        expect([...added.keys()].sort()).toEqual(all.map(({ metadata }) => keyOf(metadata)).sort());
        for (const colour of ['red', 'blue'])
          expect(
            cache
              .byIndex('colour', colour)
              .map(({ metadata }) => metadata.name)
              .sort(),
          ).toEqual(
            all
              .filter((object) => object.colour === colour)
              .map(({ metadata }) => metadata.name)
              .sort(),
          );
      }
    }),
  );
});
