import type { KubeObject } from '../../kube/wire.ts';
import { defaultRules, isKeptFor, parseRules, readRules, type CachingRules } from './caching-rules.ts';

function rulesOf(data: KubeObject): CachingRules {
  const read = readRules({ data });
  if (!('rules' in read)) throw new Error(read.problems.join());
  return read.rules;
}

function problemsOf(configMap: KubeObject): readonly string[] {
  const read = readRules(configMap);
  return 'problems' in read ? read.problems : [];
}

test('by default node agents are kept for, and not all of kube-system', () => {
  expect(isKeptFor(defaultRules, { namespace: 'kube-system', name: 'kube-proxy' })).toBe(true);
  expect(isKeptFor(defaultRules, { namespace: 'kube-system', name: 'clusterrole-aggregation-controller' })).toBe(false);
  expect(isKeptFor(defaultRules, { namespace: 'default', name: 'kube-proxy' })).toBe(false);
});

test('accounts are added, one by one or by namespace', () => {
  const rules = rulesOf({ serviceAccounts: 'monitoring:agent,\n  shop:*\n', maxViews: '7', maxBytes: '2Mi' });
  expect(rules).toMatchObject({ maxViews: 7, maxBytes: 2 << 20 });
  expect(isKeptFor(rules, { namespace: 'monitoring', name: 'agent' })).toBe(true);
  expect(isKeptFor(rules, { namespace: 'monitoring', name: 'other' })).toBe(false);
  expect(isKeptFor(rules, { namespace: 'shop', name: 'any' })).toBe(true);
  expect(isKeptFor(rules, { namespace: 'kube-system', name: 'coredns' })).toBe(true);
  expect(parseRules(JSON.stringify(rules))).toEqual(rules);
});

test('an empty ConfigMap changes nothing', () => {
  expect(rulesOf({})).toEqual(defaultRules);
  expect(readRules({})).toEqual({ rules: defaultRules });
});

test.each<[KubeObject, RegExp]>([
  [{ data: { serviceAccount: 'a:b' } }, /^serviceAccount: is not known; did you mean serviceAccounts\?/],
  [{ data: { serviceAccounts: 'agent' } }, /^serviceAccounts: "agent" must be NAMESPACE:NAME/],
  [{ data: { serviceAccounts: '*:*' } }, /^serviceAccounts: "\*:\*" must be/],
  [{ data: { serviceAccounts: 'a:b/../c' } }, /^serviceAccounts: "a:b\/..\/c" must be/],
  [{ data: { serviceAccounts: Array.from({ length: 201 }, (_, i) => `a:b${i}`).join(' ') } }, /at most 200/],
  [{ data: { serviceAccounts: 'x'.repeat(70_000) } }, /^serviceAccounts: has more than 65536 bytes/],
  [{ data: { maxViews: '1001' } }, /^maxViews: "1001" must be a whole number from 0 to 1000/],
  [{ data: { maxViews: '-1' } }, /^maxViews/],
  [{ data: { maxBytes: '64MB' } }, /^maxBytes: "64MB" must be .*64Mi/],
  [{ data: { maxBytes: '5Gi' } }, /^maxBytes/],
  [{ binaryData: { maxViews: 'MQ==' } }, /^binaryData/],
])('%j names the key and the fix', (configMap, problem) => {
  expect(problemsOf(configMap)).toEqual([expect.stringMatching(problem)]);
});

test('every problem is reported', () => {
  expect(problemsOf({ data: { maxViews: 'x', maxBytes: 'y', z: '' } })).toHaveLength(3);
});

test.each(['', '{', '[]', '{"accounts":[]}'])('%j are no kept rules', (text) => {
  expect(parseRules(text)).toBeUndefined();
});
