// Goldens: objects with every field set, from k8s.io/api's own testdata, with Go's protobuf and JSON; lists filled at random.
// A larger comparison is generate/check-fuzz.mjs.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UnknownKindError, WireError } from '../errors.ts';
import type { KubeObject, TypeMeta } from '../wire.ts';
import { decodeObject, encodeObject } from './transcode.ts';

interface Golden extends TypeMeta {
  protobuf: string;
  json: KubeObject;
}

const goldens = parseExact(gunzipSync(readFileSync(path.join(__dirname, 'goldens.json.gz'))).toString()) as Golden[];
const named = goldens.map((golden, at) => [`${at} ${golden.apiVersion} ${golden.kind}`, golden] as const);
const pod = { apiVersion: 'v1', kind: 'Pod' };

/** JSON.parse that keeps the digits of 64-bit integers, as decodeObject does. */
function parseExact(text: string): unknown {
  const exact = JSON as typeof JSON & { rawJSON(text: string): unknown };
  const revive = (_key: string, value: unknown, context?: { source?: string }): unknown =>
    typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)
      ? exact.rawJSON(context?.source ?? '')
      : value;
  return JSON.parse(text, revive) as unknown;
}

test.each(named)('decodes as Go does: %s', (_name, golden) => {
  const object = decodeObject(golden, Buffer.from(golden.protobuf, 'base64'));
  expect(object).toEqual(golden.json);
  expect(Object.keys(object).slice(0, 2)).toEqual(['kind', 'apiVersion']);
});

test.each(named)('encodes byte by byte as Go does: %s', (_name, golden) => {
  expect(encodeObject(golden, golden.json).toString('base64')).toBe(golden.protobuf);
});

test('writes the zero value of fields that are no pointers', () => {
  // Go: (&Pod{}).Marshal() has all three messages, and the empty strings in them.
  const bytes = encodeObject(pod, {});
  expect(decodeObject(pod, bytes)).toEqual({
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {},
    spec: { containers: null },
    status: {},
  });
  expect(bytes.length).toBeGreaterThan(20);
});

test('a kind that the table does not have is an UnknownKindError', () => {
  const thing = { apiVersion: 'example.com/v1', kind: 'Thing' };
  expect(() => decodeObject(thing, Buffer.alloc(0))).toThrow(UnknownKindError);
  expect(() => encodeObject({ apiVersion: 'toString', kind: 'x' }, {})).toThrow(UnknownKindError);
});

test('bytes cut short are a WireError at every length, never an endless loop or another error', () => {
  const golden = goldens.find((candidate) => candidate.kind === 'Node');
  const whole = Buffer.from(golden?.protobuf ?? '', 'base64');
  const outcomes = Array.from({ length: whole.length }, (_, length) => {
    try {
      decodeObject({ apiVersion: 'v1', kind: 'Node' }, whole.subarray(0, length));
      return 'decoded';
    } catch (error) {
      return error instanceof WireError ? 'refused' : String(error);
    }
  });
  // A cut between two fields of the object itself leaves a shorter message that is whole.
  expect(new Set(outcomes)).toEqual(new Set(['decoded', 'refused']));
  expect(outcomes.filter((outcome) => outcome === 'decoded').length).toBeLessThan(5);
});

test('a value of the wrong type is a WireError', () => {
  expect(() => encodeObject(pod, { spec: { nodeName: 5 } })).toThrow(WireError);
  expect(() => encodeObject(pod, { spec: { containers: {} } })).toThrow(WireError);
  expect(() => encodeObject(pod, { metadata: { creationTimestamp: 'yesterday' } })).toThrow(WireError);
});

test('fields that the type does not have are left out', () => {
  expect(encodeObject(pod, { status: { phase: 'Running', colour: 'red' } })).toEqual(
    encodeObject(pod, { status: { phase: 'Running' } }),
  );
});

test('integers beyond 2^53 keep their digits', () => {
  const job = { apiVersion: 'batch/v1', kind: 'Job' };
  const bytes = encodeObject(job, decodeObject(job, encodeObject(job, { metadata: { generation: 5 } })));
  expect(bytes.includes(Buffer.from([0x38, 5]))).toBe(true);
  const large = Buffer.from(bytes.toString('hex').replace('3805', '38ffffffffffffffff7f'), 'hex');
  // The lengths around it grew by eight.
  large[1] = (large[1] ?? 0) + 8;
  const decoded = decodeObject(job, large);
  expect(JSON.stringify(decoded)).toContain('"generation":9223372036854775807');
  expect(encodeObject(job, decoded)).toEqual(large);
});

test('a map key __proto__ is a key like any other', () => {
  const configMap = { apiVersion: 'v1', kind: 'ConfigMap' };
  const bytes = encodeObject(configMap, JSON.parse('{"data":{"__proto__":"x","a":"y"}}') as KubeObject);
  const text = JSON.stringify(decodeObject(configMap, bytes).data);
  expect(text).toBe('{"__proto__":"x","a":"y"}');
});
