import { encodeContinue } from './continue-token.ts';
import { listOptions } from './list-options.ts';

function read(query: string, verb: 'list' | 'watch' = 'list'): unknown {
  const result = listOptions(new URLSearchParams(query), verb);
  return 'refusal' in result ? result.refusal : result.options;
}

// What the API server says to each is in test/contract; here is what no API server is needed for.
test.each([
  ['limit=x', 'list', 400],
  ['timeoutSeconds=1.5', 'watch', 400],
  ['labelSelector=a+in+b', 'list', 400],
  ['fieldSelector=x', 'list', 400],
  ['resourceVersion=x', 'list', 400],
  ['resourceVersion=x', 'watch', 500],
  ['continue=x', 'list', 400],
  ['resourceVersionMatch=Exact', 'list', 422],
  ['sendInitialEvents=false', 'list', 422],
  ['sendInitialEvents=true', 'watch', 422],
  ['resourceVersionMatch=NotOlderThan&resourceVersion=5', 'watch', 422],
] as const)('%s of a %s is refused with %d', (query, verb, code) => {
  expect(read(query, verb)).toMatchObject({ code, status: { kind: 'Status', code } });
});

test('a watch from nothing or from any version begins with what there is, one from a version does not', () => {
  expect(read('', 'watch')).toMatchObject({ sendInitialEvents: true });
  expect(read('resourceVersion=0', 'watch')).toMatchObject({ sendInitialEvents: true });
  expect(read('resourceVersion=7', 'watch')).toMatchObject({ sendInitialEvents: false });
});

test('a continue token keeps versions beyond what numbers hold', () => {
  const token = { resourceVersion: '9007199254740993', start: 'a/b\0' };
  expect(read(`continue=${encodeContinue(token)}`)).toMatchObject({ continue: token });
});
