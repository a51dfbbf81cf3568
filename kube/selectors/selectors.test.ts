import { matchesFields, parseFieldSelector } from './field-selector.ts';
import { matchesLabels, parseLabelSelector } from './label-selector.ts';

const labels = { app: 'shop', tier: 'front', 'example.com/zone': 'a', empty: '' };

test.each([
  ['', true],
  ['  ', true],
  ['app', true],
  ['!app', false],
  ['! missing', true],
  ['app=shop', true],
  ['app == shop,tier=front', true],
  ['app!=shop', false],
  ['missing!=x', true],
  ['missing=', false],
  ['empty=', true],
  ['empty=,app', true],
  ['app in (a, shop)', true],
  ['app notin (a,shop)', false],
  ['missing notin (a)', true],
  ['missing in (a)', false],
  ['empty in (,x)', true],
  ['example.com/zone in (a),!service.kubernetes.io/headless', true],
  ['in', false],
  ['app,tier=back', false],
])('the label selector %j selects the object: %p', (selector, selected) => {
  expect(matchesLabels(parseLabelSelector(selector), labels)).toBe(selected);
});

test.each([
  '=x',
  'app=a b',
  'app in',
  'app in (a',
  'app in a',
  'app,',
  ',',
  'a b',
  'app=a=b',
  'app in ()x',
  '(a)',
  '-x',
])('the label selector %j is refused', (selector) => {
  expect(() => parseLabelSelector(selector)).toThrow(expect.objectContaining({ code: 'ERR_SELECTOR' }));
});

test('a label named like a property of every object is absent unless it is there', () => {
  expect(matchesLabels(parseLabelSelector('constructor'), {})).toBe(false);
});

const pod: Record<string, string> = { 'spec.nodeName': 'edge-1', 'status.phase': 'Running', odd: 'a,b=c\\d' };

test.each([
  ['', true],
  ['spec.nodeName=edge-1', true],
  ['spec.nodeName==edge-1,status.phase!=Pending', true],
  ['spec.nodeName!=edge-1', false],
  ['spec.clusterIP!=None', true],
  ['missing=', true],
  ['odd=a\\,b\\=c\\\\d', true],
])('the field selector %j selects the object: %p', (selector, selected) => {
  expect(matchesFields(parseFieldSelector(selector), (field) => pod[field] ?? '')).toBe(selected);
});

test.each(['x', 'a=b=c', 'a=\\x', 'a=b\\'])('the field selector %j is refused', (selector) => {
  expect(() => parseFieldSelector(selector)).toThrow(expect.objectContaining({ code: 'ERR_SELECTOR' }));
});
