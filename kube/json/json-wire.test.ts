// What is particular to JSON: two shapes of lists and objects, keys in any order, names that belong to others.
import { WireError } from '../errors.ts';
import { everyBytes, scanList, scanWatch, testdata } from '../wire-testdata.ts';
import { jsonWire } from './json-wire.ts';

const gauge = { apiVersion: 'apps.example.dev/v1', kind: 'Gauge' };
const configMap = { apiVersion: 'v1', kind: 'ConfigMap' };

const listOf = (text: string, cuts: readonly number[] = []): ReturnType<typeof scanList> =>
  scanList(jsonWire, Buffer.from(text), cuts);
const refuses = (text: string): void => expect(() => listOf(text)).toThrow(WireError);

describe('custom resources', () => {
  const body = testdata('custom-list', 'json');

  test.each([1, 5, 4096])('are read from a list with sorted keys, in chunks of %d bytes', (size) => {
    const { head, items } = scanList(jsonWire, body, everyBytes(body, size));
    expect(head).toMatchObject({ apiVersion: 'apps.example.dev/v1', kind: 'GaugeList', resourceVersion: '400' });
    expect(items.map((item) => [item.name, item.uid, item.resourceVersion])).toEqual([
      ['gauge-0', 'gauge-uid-0', '300'],
      ['gauge-1', 'gauge-uid-1', '301'],
      ['gauge-2', 'gauge-uid-2', '302'],
    ]);
  });

  test('make the same list again, byte for byte', () => {
    const { head, items } = scanList(jsonWire, body);
    const { parts } = jsonWire.list(
      head,
      items.map((item) => item.bytes),
    );
    expect(Buffer.concat([...parts]).toString()).toBe(body.toString());
  });

  test('keep their TypeMeta inside, in lists and in events alike', () => {
    const { items } = scanList(jsonWire, body);
    const stream = testdata('custom-watch', 'json');
    const frames = scanWatch(jsonWire, stream);
    expect(frames.map((frame) => frame.item.bytes.toString())).toEqual(items.map((item) => item.bytes.toString()));
    expect(frames[0]?.typeMeta).toEqual(gauge);
    const written = items.map((item) => jsonWire.frame('ADDED', gauge, item.bytes));
    expect(Buffer.concat(written).toString()).toBe(stream.toString());
  });

  test('are encoded as they came', () => {
    const bytes = scanList(jsonWire, body).items[1]?.bytes ?? Buffer.alloc(0);
    const again = jsonWire.encode(gauge, jsonWire.decode(gauge, bytes));
    expect(JSON.parse(again.toString())).toEqual(JSON.parse(bytes.toString()));
    expect(again.toString()).toMatch(/^{"apiVersion":"apps.example.dev\/v1","kind":"Gauge",/);
  });

  test('lists of metadata only keep the TypeMeta of their items in events too', () => {
    const { items } = scanList(jsonWire, testdata('partial-list', 'json'));
    const frames = scanWatch(jsonWire, testdata('partial-watch', 'json'));
    expect(frames.map((frame) => frame.item.bytes.toString())).toEqual(items.map((item) => item.bytes.toString()));
  });
});

describe('objects', () => {
  test('have the name of their own metadata, wherever it stands', () => {
    const text =
      '{"kind":"L","apiVersion":"v1","metadata":{},"items":[{"spec":{"metadata":{"name":"wrong","uid":"wrong"}},' +
      '"metadata":{"ownerReferences":[{"name":"owner","uid":"owner"}],"labels":{"name":"label"},"uid":"u","name":"right"},' +
      '"name":"outside"}]}';
    expect(listOf(text).items[0]).toMatchObject({ name: 'right', uid: 'u', namespace: '', resourceVersion: '' });
  });

  test('may write keys and values with escapes and white space', () => {
    const text =
      ' {\n"kind" : "L", "apiVersion":"v1",\t"metadata":{"resourceVersion":"\\u0031"},' +
      '"items":[ {"met\\u0061data" : { "n\\u0061me":"a\\"b", "namespace":null}} ,{"metadata":{"name":"c"}}\r\n] } \n';
    for (const size of [1, 3, 1000]) {
      const { head, items } = listOf(text, everyBytes(Buffer.from(text), size));
      expect(head.resourceVersion).toBe('1');
      expect(items.map((item) => item.name)).toEqual(['a"b', 'c']);
    }
  });

  test('lose exactly the prefix that the API server adds', () => {
    const { item } = jsonWire.scanObject(Buffer.from('{"kind":"ConfigMap","apiVersion":"v1"}'));
    expect(item.bytes.toString()).toBe('{}');
    expect(jsonWire.object(configMap, item.bytes).toString()).toBe('{"kind":"ConfigMap","apiVersion":"v1"}\n');
    const other = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}';
    const kept = jsonWire.scanObject(Buffer.from(other)).item.bytes;
    expect(kept.toString()).toBe(other);
    expect(jsonWire.object(configMap, kept).toString()).toBe(`${other}\n`);
  });

  test('without a version get one', () => {
    const replace = (text: string): string => jsonWire.withResourceVersion(Buffer.from(text), '7').toString();
    expect(replace('{"metadata":{}}')).toBe('{"metadata":{"resourceVersion":"7"}}');
    expect(replace('{"metadata":{"name":"a"},"b":1}')).toBe('{"metadata":{"resourceVersion":"7","name":"a"},"b":1}');
  });
});

describe('lists that are refused', () => {
  const head = '"kind":"L","apiVersion":"v1","metadata":{}';

  test.each([
    ['without items', `{${head}}`],
    ['without metadata', '{"kind":"L","apiVersion":"v1","items":[]}'],
    ['with items twice', `{${head},"items":[],"items":[]}`],
    ['with something after it', `{${head},"items":[]}{}`],
    ['with brackets that do not match', `{${head},"items":[{"metadata":{"name":"a"]}]}`],
    ['with brackets that do not match inside a spec', `{${head},"items":[{"metadata":{"name":"a"},"b":[}}]}`],
    ['with a number for an item', `{${head},"items":[1]}`],
    ['with a comma before the end', `{${head},"items":[{"metadata":{"name":"a"}},]}`],
    ['with a line break in a string', `{${head},"items":[{"metadata":{"name":"a\n"}}]}`],
    ['with a name twice', `{${head},"items":[{"metadata":{"name":"a","name":"b"}}]}`],
    ['with an item that has no name', `{${head},"items":[{"metadata":{}}]}`],
    ['with a number for a name', `{${head},"items":[{"metadata":{"name":1}}]}`],
    ['with an object for items', `{${head},"items":{}}`],
  ])('%s', (_name, text) => {
    refuses(text);
  });

  test('nested deeper than Go decodes', () => {
    refuses(`{${head},"items":[{"metadata":{"name":"a"},"b":${'['.repeat(20_000)}${']'.repeat(20_000)}}]}`);
  });

  test('null for items is an empty list', () => {
    expect(listOf(`{${head},"items":null}`).items).toEqual([]);
  });
});
