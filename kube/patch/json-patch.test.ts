import { PatchError } from '../errors.ts';
import { applyJsonPatch } from './json-patch.ts';
import type { JsonPatchOperation } from './json-patch.ts';

// The examples of RFC 6902, appendix A, for the operations that are here, and their neighbours.
test.each([
  ['{"foo":"bar"}', '[{"op":"add","path":"/baz","value":"qux"}]', '{"foo":"bar","baz":"qux"}'],
  ['{"foo":["bar","baz"]}', '[{"op":"add","path":"/foo/1","value":"qux"}]', '{"foo":["bar","qux","baz"]}'],
  ['{"baz":"qux","foo":"bar"}', '[{"op":"remove","path":"/baz"}]', '{"foo":"bar"}'],
  ['{"foo":["bar","qux","baz"]}', '[{"op":"remove","path":"/foo/1"}]', '{"foo":["bar","baz"]}'],
  ['{"baz":"qux","foo":"bar"}', '[{"op":"replace","path":"/baz","value":"boo"}]', '{"baz":"boo","foo":"bar"}'],
  ['{"foo":"bar"}', '[{"op":"add","path":"/child","value":{"grand":{}}}]', '{"foo":"bar","child":{"grand":{}}}'],
  ['{"foo":["bar"]}', '[{"op":"add","path":"/foo/-","value":["abc","def"]}]', '{"foo":["bar",["abc","def"]]}'],
  ['{"a/b":1,"m~n":2}', '[{"op":"replace","path":"/a~1b","value":3},{"op":"remove","path":"/m~0n"}]', '{"a/b":3}'],
  ['{"a":1}', '[{"op":"add","path":"/a","value":null}]', '{"a":null}'],
  ['{"a":1}', '[{"op":"replace","path":"","value":[1]}]', '[1]'],
])('%s patched by %s', (document, patch, result) => {
  const original = JSON.parse(document) as unknown;
  expect(applyJsonPatch(original, JSON.parse(patch) as JsonPatchOperation[])).toEqual(JSON.parse(result));
  expect(JSON.stringify(original)).toBe(document);
});

test.each([
  ['{"foo":"bar"}', { op: 'add', path: '/baz/bat', value: 1 }, 'there is no /baz'],
  ['{"foo":"bar"}', { op: 'replace', path: '/baz', value: 1 }, 'no such field'],
  ['{"foo":"bar"}', { op: 'remove', path: '/baz' }, 'no such field'],
  ['{"foo":["bar"]}', { op: 'add', path: '/foo/2', value: 1 }, 'ends before index 2'],
  ['{"foo":["bar"]}', { op: 'remove', path: '/foo/1' }, 'ends before index 1'],
  ['{"foo":["bar"]}', { op: 'replace', path: '/foo/01', value: 1 }, 'no index'],
  ['{"foo":"bar"}', { op: 'add', path: '/foo/bar', value: 1 }, 'neither an object nor a list'],
  ['{"foo":"bar"}', { op: 'add', path: 'foo', value: 1 }, "begin with '/'"],
  ['{"foo":"bar"}', { op: 'remove', path: '' }, 'whole document'],
] as [string, JsonPatchOperation, string][])('%s refuses %j', (document, operation, problem) => {
  const apply = (): unknown => applyJsonPatch(JSON.parse(document), [operation]);
  expect(apply).toThrow(PatchError);
  expect(apply).toThrow(problem);
});

test('with createParents an added value makes the objects on its way, never lists', () => {
  const options = { createParents: true };
  const add = (path: string): unknown => applyJsonPatch({ list: [{}] }, [{ op: 'add', path, value: 1 }], options);
  expect(add('/list/0/resources/limits/cpu')).toEqual({ list: [{ resources: { limits: { cpu: 1 } } }] });
  expect(() => add('/list/0/tolerations/-')).toThrow('there is no /list/0/tolerations');
  expect(() => add('/list/1/resources')).toThrow('ends before index 1');
});

test('a path named __proto__ changes no prototype', () => {
  const result = applyJsonPatch({}, [{ op: 'add', path: '/__proto__/polluted', value: 1 }], { createParents: true });
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  expect(Object.keys(result as object)).toEqual(['__proto__']);
});
