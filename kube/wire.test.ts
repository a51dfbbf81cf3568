// The contract of a Wire, run for both encodings against bytes that Kubernetes' own encoders wrote.
import { WireError } from './errors.ts';
import { everyBytes, scanList, scanWatch, testdata } from './wire-testdata.ts';
import { metadataOf } from './plain-object.ts';
import { wireFor } from './wires.ts';
import type { Encoding, TypeMeta, Wire } from './wire.ts';

const configMap: TypeMeta = { apiVersion: 'v1', kind: 'ConfigMap' };
const pod: TypeMeta = { apiVersion: 'v1', kind: 'Pod' };
const sizes = [1, 2, 3, 7, 64, 1000, 65_536];

function wireErrorCode(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return 'none';
}

describe.each<Encoding>(['protobuf', 'json'])('%s wire', (encoding) => {
  const wire: Wire = wireFor(encoding);
  const data = (name: string): Buffer => testdata(name, encoding);
  const rejoin = (name: string): Buffer => {
    const { head, items } = scanList(wire, data(name));
    const { contentLength, parts } = wire.list(
      head,
      items.map((item) => item.bytes),
    );
    const body = Buffer.concat([...parts]);
    expect(contentLength).toBe(body.length);
    return body;
  };

  test('reads the head of a list and the metadata of its items', () => {
    const { head, items } = scanList(wire, data('pod-list'));
    expect(head).toEqual({
      apiVersion: 'v1',
      kind: 'PodList',
      resourceVersion: '123456',
      continue: '',
      remainingItemCount: undefined,
    });
    expect(items.map(({ bytes: _bytes, ...meta }) => meta)).toEqual(
      [0, 1, 2, 3, 4, 5].map((i) => ({
        namespace: i % 2 === 0 ? 'default' : 'edge-apps',
        name: `pod-${i}`,
        uid: `00000000-0000-0000-0000-00000000000${i}`,
        resourceVersion: String(1000 + i),
      })),
    );
  });

  test('reads a page: continue token and remaining count', () => {
    const { head, items } = scanList(wire, data('page'));
    expect(head).toMatchObject({ resourceVersion: '99', continue: 'eyJ2IjoibWV0YSJ9', remainingItemCount: 300 });
    expect(items).toHaveLength(40);
  });

  test('sets, replaces and removes one annotation, and leaves all else as it is', () => {
    const lease: TypeMeta = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
    const spec = { holderIdentity: 'edge1', leaseDurationSeconds: 40, renewTime: '2026-01-02T03:04:05.000006Z' };
    const without = { metadata: { name: 'edge1', namespace: 'kube-node-lease', resourceVersion: '7' }, spec };
    const annotationsOf = (bytes: Buffer): unknown => metadataOf(wire.decode(lease, bytes))['annotations'] ?? {};
    const bytes = wire.encode(lease, without);
    const set = wire.withAnnotation(bytes, 'a', '{"x":"ü"}');
    expect(annotationsOf(set)).toEqual({ a: '{"x":"ü"}' });
    expect(wire.decode(lease, set)['spec']).toEqual(wire.decode(lease, bytes)['spec']);
    expect(wire.meta(set)).toEqual(wire.meta(bytes));
    const two = wire.withAnnotation(set, 'b', '2');
    expect(annotationsOf(wire.withAnnotation(two, 'a', '1'))).toEqual({ a: '1', b: '2' });
    expect(annotationsOf(wire.withAnnotation(two, 'a', undefined))).toEqual({ b: '2' });
    expect(wire.withAnnotation(bytes, 'a', undefined)).toBe(bytes);
  });

  test('reads cluster-scoped objects with an empty namespace', () => {
    expect(scanList(wire, data('node-list')).items[7]).toMatchObject({
      namespace: '',
      name: 'node-7',
      uid: 'node-uid-7',
    });
  });

  test.each(['pod-list', 'page', 'node-list', 'empty-list', 'partial-list'])(
    'puts %s together again, byte for byte',
    (name) => {
      expect(rejoin(name).equals(data(name))).toBe(true);
    },
  );

  test.each(sizes)('gives the same list from chunks of %d bytes', (size) => {
    for (const name of ['pod-list', 'page', 'empty-list']) {
      const whole = scanList(wire, data(name));
      const { head, items } = scanList(wire, data(name), everyBytes(data(name), size));
      expect(head).toEqual(whole.head);
      expect(items).toHaveLength(whole.items.length);
      expect(items.every((item, index) => whole.items[index]?.bytes.equals(item.bytes))).toBe(true);
    }
  });

  test('gives the same list wherever it is cut in two', () => {
    const body = data('pod-list');
    const whole = scanList(wire, body);
    for (let cut = 0; cut <= body.length; cut++) {
      const { head, items } = scanList(wire, body, [cut]);
      expect(head).toEqual(whole.head);
      expect(items).toHaveLength(whole.items.length);
      expect(items.every((item, index) => whole.items[index]?.bytes.equals(item.bytes))).toBe(true);
    }
  });

  test('a list that ends early is never a list', () => {
    const body = data('pod-list');
    // The last bytes carry nothing: the two empty strings of the envelope, the line break of JSON.
    const last = body.length - (encoding === 'protobuf' ? 4 : 1);
    for (let end = 0; end < last; end++)
      expect([end, wireErrorCode(() => scanList(wire, body.subarray(0, end)))]).toEqual([end, 'ERR_WIRE_TRUNCATED']);
  });

  test('an object that is no list is refused', () => {
    expect(wireErrorCode(() => scanList(wire, data('pod')))).toBe('ERR_WIRE_MALFORMED');
    expect(wireErrorCode(() => scanList(wire, data('status')))).toBe('ERR_WIRE_MALFORMED');
    expect(wireErrorCode(() => scanList(wire, Buffer.from('<html>502 Bad Gateway</html>')))).toBe('ERR_WIRE_MALFORMED');
  });

  test.each([[[]], [everyBytes(data('pod-list'), 10)]])('an item beyond the bound is refused', (cuts) => {
    expect(wireErrorCode(() => scanList(wire, data('pod-list'), cuts, 700))).toBe('ERR_WIRE_TOO_LARGE');
  });

  test.each(sizes)('cuts a watch stream from chunks of %d bytes', (size) => {
    const body = data('watch');
    const frames = scanWatch(wire, body, everyBytes(body, size));
    expect(
      frames.map((frame) => [frame.type, frame.typeMeta.kind, frame.item.name, frame.item.resourceVersion]),
    ).toEqual([
      ['ADDED', 'Pod', 'pod-0', '1000'],
      ['MODIFIED', 'Pod', 'pod-1', '1001'],
      ['DELETED', 'Pod', 'pod-2', '1002'],
      ['ADDED', 'Pod', 'pod-3', '1003'],
      ['MODIFIED', 'Pod', 'pod-4', '1004'],
      ['DELETED', 'Pod', 'pod-5', '1005'],
      ['ADDED', 'Node', 'node-1', '71'],
      ['BOOKMARK', 'ConfigMap', '', '777'],
      ['ERROR', 'Status', '', ''],
    ]);
    expect(Buffer.concat(frames.map((frame) => frame.frame)).equals(body)).toBe(true);
  });

  test('an item has the same bytes in a list, in a watch event and as an object', () => {
    const { items } = scanList(wire, data('pod-list'));
    const frames = scanWatch(wire, data('watch'));
    for (const [index, item] of items.entries()) expect(frames[index]?.item.bytes.equals(item.bytes)).toBe(true);
    expect(wire.scanObject(data('pod')).item).toEqual(items[3]);
  });

  test('writes the frame that the API server wrote', () => {
    const types = ['ADDED', 'MODIFIED', 'DELETED'] as const;
    const written = scanList(wire, data('pod-list')).items.map((item, index) =>
      wire.frame(types[index % 3] ?? 'ADDED', pod, item.bytes),
    );
    const body = Buffer.concat(written);
    expect(body.equals(data('watch').subarray(0, body.length))).toBe(true);
  });

  test('counts what it holds of an unfinished frame', () => {
    const scanner = wire.watchScanner({ maxFrameBytes: 1 << 20 });
    const body = data('bookmark');
    scanner.push(body.subarray(0, 2));
    expect(scanner.heldBytes).toBe(2);
    scanner.push(body.subarray(2, 30));
    expect(scanner.heldBytes).toBe(30);
    expect(scanner.push(body.subarray(30))).toHaveLength(1);
    expect(scanner.heldBytes).toBe(0);
  });

  test('a frame beyond the bound is refused before it has arrived whole', () => {
    const body = data('watch');
    for (const chunk of [100, 4000]) {
      const scanner = wire.watchScanner({ maxFrameBytes: 500 });
      expect(
        wireErrorCode(() => {
          for (let at = 0; at < 600; at += chunk) scanner.push(body.subarray(at, at + chunk));
        }),
      ).toBe('ERR_WIRE_TOO_LARGE');
    }
  });

  test('opens an object and puts it into its envelope again', () => {
    const { typeMeta, item } = wire.scanObject(data('pod'));
    expect(typeMeta).toEqual(pod);
    expect(item).toMatchObject({ name: 'pod-3', namespace: 'edge-apps', resourceVersion: '1003' });
    expect(wire.object(typeMeta, item.bytes).equals(data('pod'))).toBe(true);
  });

  test('a Status has no name, and every object cut short is refused', () => {
    expect(wire.scanObject(data('status'))).toMatchObject({ typeMeta: { kind: 'Status' }, item: { name: '' } });
    const body = data('pod');
    const last = body.length - (encoding === 'protobuf' ? 4 : 1);
    for (let end = 0; end < last; end++)
      expect(wireErrorCode(() => wire.scanObject(body.subarray(0, end)))).toBe('ERR_WIRE_MALFORMED');
  });

  test('reads labels, in UTF-8, and no annotations', () => {
    const { item } = wire.scanObject(data('pod'));
    expect(wire.labels(item.bytes)).toEqual({ app: 'app-0', näme: 'wärt ✓', uid: 'no', empty: '' });
    expect(wire.labels(scanList(wire, data('node-list')).items[0]?.bytes ?? Buffer.alloc(0))).toEqual({});
  });

  test('replaces the version and nothing else', () => {
    const { item } = wire.scanObject(data('pod'));
    const changed = wire.withResourceVersion(item.bytes, '98765432109');
    expect(wire.object(pod, changed).equals(data('pod-other-version'))).toBe(true);
    expect(wire.withResourceVersion(changed, '1003').equals(item.bytes)).toBe(true);
  });

  test.each([
    ['bookmark', false],
    ['initial-events-end', true],
  ] as const)('writes %s as the API server does', (name, initialEventsEnd) => {
    expect(wire.bookmark(configMap, '777', initialEventsEnd).equals(data(name))).toBe(true);
  });

  test('writes a Status as error frame and as body', () => {
    const status = wireFor('json').decode({ apiVersion: 'v1', kind: 'Status' }, testdata('status', 'json'));
    const { frame, typeMeta, item } = scanWatch(wire, wire.errorFrame(status))[0] ?? {};
    expect(typeMeta).toEqual({ apiVersion: 'v1', kind: 'Status' });
    expect(frame?.length).toBe(data('error').length);
    expect(wire.decode(typeMeta ?? pod, item?.bytes ?? Buffer.alloc(0))).toEqual(status);
    const body = wire.scanObject(wire.body(status));
    expect(wire.decode(body.typeMeta, body.item.bytes)).toEqual(status);
  });

  test('decodes and encodes an item', () => {
    const { item } = wire.scanObject(data('pod'));
    const decoded = wire.decode(pod, item.bytes);
    expect(Object.keys(decoded).slice(0, 2)).toEqual(['kind', 'apiVersion']);
    expect(decoded).toEqual(JSON.parse(testdata('pod', 'json').toString()));
    expect(wire.decode(pod, wire.encode(pod, decoded))).toEqual(decoded);
  });
});
