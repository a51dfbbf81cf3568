// What is particular to protobuf: fields in any order, lengths that lie, varints without end.
import { WireError } from '../errors.ts';
import { everyBytes, scanList, testdata, type ScannedList } from '../wire-testdata.ts';
import { bytesField, bytesFieldHead, FieldReader, varintField } from './fields.ts';
import { protobufWire } from './protobuf-wire.ts';

const typeMeta = bytesField(1, Buffer.concat([bytesField(1, 'v1'), bytesField(2, 'PodList')]));
const meta = bytesField(1, bytesField(2, '77'));
const item = (name: string): Buffer => bytesField(2, bytesField(1, bytesField(1, name)));
const raw = (...fields: Buffer[]): Buffer => bytesField(2, Buffer.concat(fields));
const body = (...fields: Buffer[]): Buffer => Buffer.concat([Buffer.from('k8s\0'), ...fields]);

function code(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'none';
}

describe('protobuf lists', () => {
  const summary = ({ head, items }: ScannedList): unknown => [head.resourceVersion, items.map((each) => each.name)];

  test.each([
    ['as Go writes it', body(typeMeta, raw(meta, item('a'), item('b')))],
    ['with the list metadata last', body(typeMeta, raw(item('a'), item('b'), meta))],
    ['with the type last', body(raw(meta, item('a'), item('b')), typeMeta)],
    [
      'with unknown fields of every wire type',
      body(
        varintField(9, 300),
        typeMeta,
        raw(
          varintField(7, 2 ** 50),
          Buffer.from([0x31, 1, 2, 3, 4, 5, 6, 7, 8]),
          item('a'),
          meta,
          Buffer.from([0x3d, 1, 2, 3, 4]),
          bytesField(500, 'unknown'),
          item('b'),
        ),
      ),
    ],
  ])('are read %s', (_name, list) => {
    for (const size of [1, 2, 1000])
      expect(summary(scanList(protobufWire, list, everyBytes(list, size)))).toEqual(['77', ['a', 'b']]);
  });

  const endless = Buffer.alloc(11, 0xff);
  test.each([
    ['a varint of eleven bytes', body(typeMeta, endless)],
    ['a length of eleven bytes', body(typeMeta, Buffer.from([0x12]), endless)],
    ['field number 0', body(typeMeta, Buffer.from([0x02, 0x00]))],
    ['a group', body(typeMeta, Buffer.from([0x1b]))],
    ['an item that is a number', body(typeMeta, raw(meta, varintField(2, 5)))],
    ['an item longer than the list', body(typeMeta, raw(meta, bytesFieldHead(2, 5)))],
    ['a field of the list that is cut by its end', body(typeMeta, raw(meta, Buffer.from([0x12])))],
    ['a length of the list that is cut by its end', body(typeMeta, raw(meta, Buffer.from([0x12, 0x80])), item('a'))],
    [
      'a string longer than its message',
      body(typeMeta, raw(meta, bytesField(2, bytesField(1, Buffer.from([0x0a, 9]))))),
    ],
    ['two lists in one envelope', body(typeMeta, raw(meta), raw(meta))],
    ['a type that is no list', body(bytesField(1, bytesField(2, 'Pod')), raw(meta, item('a')))],
    ['a type that is no list, given last', body(raw(meta, item('a')), bytesField(1, bytesField(2, 'Pod')))],
    ['no metadata', body(typeMeta, raw(item('a')))],
    ['an item without a name', body(typeMeta, raw(meta, bytesField(2, '')))],
    ['JSON', Buffer.from('{"kind":"PodList"}')],
  ])('are refused with %s', (_name, list) => {
    for (const size of [1, 1000])
      expect(code(() => scanList(protobufWire, list, everyBytes(list, size)))).toBe('ERR_WIRE_MALFORMED');
  });

  test('a length beyond the bound is refused before memory is taken for it', () => {
    const list = body(typeMeta, bytesFieldHead(2, 2 ** 40), meta, bytesFieldHead(2, 2 ** 39));
    expect(code(() => scanList(protobufWire, list))).toBe('ERR_WIRE_TOO_LARGE');
  });

  test('large items are passed on without a copy, small ones in few parts', () => {
    const { head } = scanList(protobufWire, testdata('empty-list', 'protobuf'));
    const large = Buffer.alloc(100_000);
    const small = Buffer.alloc(1000);
    const parts = [...protobufWire.list(head, [...Array<Buffer>(100).fill(small), large, small]).parts];
    expect(parts).toContain(large);
    expect(parts.length).toBeLessThan(6);
  });
});

test('an object without a version gets one where Go would write it', () => {
  const object = bytesField(1, Buffer.concat([bytesField(1, 'a'), bytesField(5, 'u'), varintField(7, 1)]));
  const changed = new FieldReader(protobufWire.withResourceVersion(object, '9'), 0, object.length + 3);
  expect(changed.next()).toBe(true);
  const fields = changed.message();
  const order: number[] = [];
  while (fields.next()) order.push(fields.field);
  expect(order).toEqual([1, 5, 6, 7]);
});
