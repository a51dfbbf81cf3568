import { ManualClock } from '../../runtime/manual-clock.ts';
import { nullLog } from '../../runtime/log.ts';
import type { Store, ViewKey } from '../types.ts';
import { ViewFollower } from './follower.ts';
import { View } from './view.ts';
import type { Acquired } from './view-set.ts';
import { configMapsOfShop, event, list, plainCipher, presenterWith } from './view-fixture.ts';

const key: ViewKey = { ...configMapsOfShop, namespace: '' };
const settings = { residentBytes: 1 << 20, logMaxCount: 100, logMaxBytes: 1 << 20 };
const noStore: Store = {
  segments: {
    create: () => Promise.reject(new Error('no list here is that large')),
    open: () => Promise.reject(new Error('there is none')),
    remove: () => Promise.resolve(),
    retain: () => Promise.resolve(),
  },
  get: () => Promise.resolve(undefined),
  async *entries() {},
  async *batches() {},
  async *keys() {},
  write: () => Promise.resolve(),
  deletePrefix: () => Promise.resolve(),
};

const object = (name: string, resourceVersion: string): object => ({
  metadata: { name, namespace: 'shop', uid: name, resourceVersion },
});

async function viewOf(resourceVersion: string, ...names: string[]): Promise<View> {
  const view = new View(key, { store: noStore, cipher: plainCipher, presenter: presenterWith() }, settings);
  await list(
    view,
    resourceVersion,
    names.map((name) => object(name, '1')),
  );
  return view;
}

/** Views as a follower sees them, and what its sink hears. */
class Bench {
  readonly clock = new ManualClock();
  readonly stop = new AbortController();
  readonly heard: string[] = [];
  kept: View | undefined;
  answer: Acquired = { kind: 'unknown' };
  asked = 0;
  joinable = true;
  #wake: () => void = () => undefined;

  follower(how: 'join' | 'make'): ViewFollower {
    return new ViewFollower(key, {
      views: {
        has: () => this.joinable,
        kept: () => Promise.resolve(this.kept),
        acquire: () => {
          this.asked += 1;
          this.#wake();
          return Promise.resolve(this.answer);
        },
      },
      sink: {
        put: (_wire, { name }) => this.#hear(`+${name}`),
        remove: (_namespace, name) => this.#hear(`-${name}`),
        settled: () => this.#hear('settled'),
      },
      how,
      clock: this.clock,
      log: nullLog,
    });
  }

  #hear(what: string): void {
    this.heard.push(what);
    this.#wake();
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds())
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 5);
      });
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
});
afterEach(() => bench.stop.abort());

test('what was kept is known before anything is asked of the cloud', async () => {
  bench.kept = await viewOf('10', 'a', 'b');
  await bench.follower('make').prime();
  expect(bench.heard).toEqual(['+a', '+b', 'settled']);
  expect(bench.asked).toBe(0);
});

test('changes are heard as they happen, each as a state of its own', async () => {
  const view = await viewOf('10', 'a');
  bench.kept = view;
  await bench.follower('make').prime();
  await event(view, 'ADDED', object('b', '11'));
  await event(view, 'DELETED', object('a', '12'));
  expect(bench.heard).toEqual(['+a', 'settled', '+b', 'settled', '-a', 'settled']);
  expect([view.watcherCount, view.followed]).toEqual([0, true]);
});

test('nothing is asked for before it is wanted, and a view to be joined not before clients have made it', async () => {
  bench.joinable = false;
  bench.answer = { kind: 'view', view: await viewOf('10', 'a'), live: true };
  const follower = bench.follower('join');
  const running = follower.run(bench.stop.signal);
  await new Promise(setImmediate);
  bench.clock.advance(60_000);
  expect(bench.asked).toBe(0);
  follower.want();
  await new Promise(setImmediate);
  bench.clock.advance(2_000);
  await new Promise(setImmediate);
  expect(bench.asked).toBe(0);
  bench.joinable = true;
  bench.clock.advance(2_000);
  await bench.until(() => bench.heard.includes('settled'));
  expect(bench.heard).toEqual(['+a', 'settled']);
  bench.stop.abort();
  await running;
});

test('after its view was dropped it takes the next one, and what is not in that is gone', async () => {
  const first = await viewOf('10', 'a', 'b');
  bench.answer = { kind: 'view', view: first, live: true };
  const follower = bench.follower('make');
  follower.want();
  const running = follower.run(bench.stop.signal);
  await bench.until(() => bench.heard.includes('settled'));
  bench.answer = { kind: 'view', view: await viewOf('20', 'b', 'c'), live: true };
  bench.heard.length = 0;
  first.drop();
  await bench.until(() => bench.heard.includes('settled'));
  expect(bench.heard).toEqual(['+b', '+c', '-a', 'settled']);
  bench.stop.abort();
  await running;
});

test('a view that is refused is asked for again after minutes, and what was known stays', async () => {
  bench.answer = { kind: 'refused', reply: { statusCode: 403, headers: {}, body: Buffer.alloc(0) } };
  const follower = bench.follower('make');
  follower.want();
  const running = follower.run(bench.stop.signal);
  await bench.until(() => bench.asked === 1);
  await new Promise(setImmediate);
  bench.clock.advance(290_000);
  await new Promise(setImmediate);
  expect([bench.asked, bench.heard]).toEqual([1, []]);
  bench.clock.advance(310_000);
  await bench.until(() => bench.asked === 2);
  bench.stop.abort();
  await running;
});
