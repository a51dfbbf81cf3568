// Random cuts, truncations and mutations of real bytes: a scanner throws WireError or is right, and how the bytes were
// cut never matters.
import fc from 'fast-check';
import { WireError } from './errors.ts';
import { scanList, scanWatch, testdata, type ScannedList } from './wire-testdata.ts';
import { wireFor } from './wires.ts';
import type { Encoding, Item, WatchFrame } from './wire.ts';

// One seed, so that a gate fails for what changed; HOLDFAST_FUZZ_SEED tries others.
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? 20_261_121);

type Mutation = {
  readonly kind: 'set' | 'insert' | 'remove' | 'cut' | 'double';
  readonly at: number;
  readonly byte: number;
};

// Positions are favoured near the start, where heads and lengths are, as much as anywhere else.
const position = fc.oneof(fc.nat(200), fc.nat(1 << 20));
const mutations = fc.array(
  fc.record<Mutation>({
    kind: fc.constantFrom('set', 'set', 'insert', 'remove', 'cut', 'double'),
    at: position,
    byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 0x7f, 0x80, 0xff, 0x22, 0x5c, 0x7b, 0x7d, 0x5b, 0x5d, 0x2c, 0x0a)),
  }),
  { maxLength: 4 },
);
const cuts = fc.array(position, { maxLength: 12 });

function mutate(body: Buffer, steps: readonly Mutation[]): Buffer {
  let bytes = Buffer.from(body);
  for (const { kind, at, byte } of steps) {
    const index = bytes.length === 0 ? 0 : at % bytes.length;
    const before = bytes.subarray(0, index);
    if (kind === 'set') bytes.subarray(index, index + 1).fill(byte);
    else if (kind === 'insert') bytes = Buffer.concat([before, Buffer.from([byte]), bytes.subarray(index)]);
    else if (kind === 'remove') bytes = Buffer.concat([before, bytes.subarray(index + 1 + (byte % 8))]);
    else if (kind === 'cut') bytes = before;
    else bytes = Buffer.concat([before, bytes.subarray(index, index + byte), bytes.subarray(index)]);
  }
  return bytes;
}

/** The result, or the code of the WireError; anything else that is thrown fails the test. */
function outcome<T>(act: () => T): { result: T } | { code: string } {
  try {
    return { result: act() };
  } catch (error) {
    if (error instanceof WireError) return { code: error.code };
    throw error;
  }
}

/** Every item is a piece of the body, in the body's order. */
function arePiecesOf(body: Buffer, items: readonly Item[]): boolean {
  let from = 0;
  for (const { bytes } of items) {
    const at = body.indexOf(bytes, from);
    if (at < 0) return false;
    from = at + bytes.length;
  }
  return true;
}

/** All of a result as text: comparing strings is a hundred times faster than comparing buffers with toEqual. */
function textOf(result: { code: string } | { result: ScannedList | readonly WatchFrame[] }): string {
  if ('code' in result) return result.code;
  if ('head' in result.result) return JSON.stringify([result.result.head, result.result.items.map(textOfItem)]);
  return JSON.stringify(
    result.result.map(({ type, typeMeta, item, frame }) => [
      type,
      typeMeta,
      textOfItem(item),
      frame.toString('latin1'),
    ]),
  );
}

function textOfItem({ bytes, ...meta }: Item): string {
  return JSON.stringify(meta) + bytes.toString('latin1');
}

describe.each<Encoding>(['protobuf', 'json'])('%s wire', (encoding) => {
  const wire = wireFor(encoding);
  const lists = [testdata('pod-list', encoding), testdata('page', encoding), testdata('partial-list', encoding)];
  if (encoding === 'json') lists.push(testdata('custom-list', encoding));
  // Named by index: a counterexample must not print a whole list.
  const list = fc.nat(lists.length - 1);
  const listAt = (index: number): Buffer => lists[index] ?? Buffer.alloc(0);

  test('a list cut at random is the same list', () => {
    fc.assert(
      fc.property(list, cuts, (index, at) => {
        const body = listAt(index);
        expect(textOf({ result: scanList(wire, body, at) })).toBe(textOf({ result: scanList(wire, body) }));
      }),
      { numRuns: 150, seed },
    );
  });

  test('a mutated list fails with a code or is made of its bytes, however it is cut', () => {
    let refused = 0;
    fc.assert(
      fc.property(list, mutations, cuts, (index, steps, at) => {
        const mutated = mutate(listAt(index), steps);
        const whole = outcome(() => scanList(wire, mutated));
        expect(textOf(outcome(() => scanList(wire, mutated, at)))).toBe(textOf(whole));
        if ('code' in whole) refused++;
        return 'code' in whole || arePiecesOf(mutated, whole.result.items);
      }),
      { numRuns: 1500, seed },
    );
    // The mutations do reach the checks.
    expect(refused).toBeGreaterThan(100);
  });

  test('a mutated watch stream fails with a code or is made of its bytes, however it is cut', () => {
    const stream = testdata('watch', encoding);
    fc.assert(
      fc.property(mutations, cuts, (steps, at) => {
        const mutated = mutate(stream, steps);
        const whole = outcome(() => scanWatch(wire, mutated));
        expect(textOf(outcome(() => scanWatch(wire, mutated, at)))).toBe(textOf(whole));
        if ('code' in whole) return true;
        const frames = Buffer.concat(whole.result.map((frame) => frame.frame));
        return mutated.subarray(0, frames.length).equals(frames);
      }),
      { numRuns: 800, seed },
    );
  });

  test('random bytes are no list, no frame and no object', () => {
    const start = Buffer.from(encoding === 'protobuf' ? 'k8s\0' : '{"');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (noise, headed) => {
        const body = Buffer.concat([headed ? start : Buffer.alloc(0), noise]);
        outcome(() => scanWatch(wire, body));
        outcome(() => wire.labels(body));
        outcome(() => wire.withResourceVersion(body, '1'));
        return 'code' in outcome(() => scanList(wire, body)) && 'code' in outcome(() => wire.scanObject(body));
      }),
      { numRuns: 1500, seed },
    );
  });

  test('a mutated object is refused or read', () => {
    const object = testdata('pod', encoding);
    fc.assert(
      fc.property(mutations, (steps) => {
        const scanned = outcome(() => wire.scanObject(mutate(object, steps)));
        if ('code' in scanned) return;
        const { bytes } = scanned.result.item;
        outcome(() => wire.labels(bytes));
        const changed = outcome(() => wire.withResourceVersion(bytes, '42'));
        if ('code' in changed) return;
        const again = outcome(() => wire.scanObject(wire.object(scanned.result.typeMeta, changed.result)));
        expect(again).toMatchObject({ result: { item: { name: scanned.result.item.name, resourceVersion: '42' } } });
      }),
      { numRuns: 800, seed },
    );
  });
});

describe('json wire', () => {
  test('what is JSON is scanned as JSON.parse reads it', () => {
    const body = testdata('custom-list', 'json');
    fc.assert(
      fc.property(mutations, (steps) => {
        const mutated = mutate(body, steps);
        const whole = outcome(() => scanList(wireFor('json'), mutated));
        let parsed: { items: { metadata: { name: string; uid?: string } }[] };
        try {
          parsed = JSON.parse(mutated.toString());
        } catch {
          return true;
        }
        if ('code' in whole) return true;
        const names = whole.result.items.map((item) => [item.name, item.uid]);
        expect(names).toEqual(parsed.items.map(({ metadata }) => [metadata.name, metadata.uid ?? '']));
        return true;
      }),
      { numRuns: 1500, seed },
    );
  });
});
