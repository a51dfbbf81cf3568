import { jsonWire } from '../../kube/json/json-wire.ts';
import type { ViewKey } from '../types.ts';
import { remainder, selectedBy, selects, selectsEverything } from './selection.ts';

function pods(namespace: string, labelSelector: string, fieldSelector = ''): ViewKey {
  return { group: '', version: 'v1', resource: 'pods', namespace, labelSelector, fieldSelector, encoding: 'json' };
}

function rest(asked: ViewKey, held: ViewKey): ReturnType<typeof remainder> {
  return remainder(selectedBy(asked), selectedBy(held), 'Pod');
}

test.each([
  ['', '', '', 'a', '', ''],
  ['', '', '', 'a', 'x=y', 'spec.nodeName=n'],
  ['a', '', '', 'a', 'x in (1,2),!y', ''],
  ['', 'x', '', '', 'x=1', ''],
  ['', 'x in (1,2)', '', '', 'x=2', ''],
  ['', 'x!=1', '', '', 'x=2', ''],
  ['', 'x notin (1)', '', '', '!x', ''],
  ['', '!x', '', '', '!x,y>3', ''],
  ['', '', 'spec.nodeName=n', '', 'x', 'status.phase=Running,spec.nodeName=n'],
  ['', '', 'spec.nodeName=n', '', '', 'spec.host=n'],
  ['', '', 'spec.nodeName!=n', '', '', 'spec.nodeName=m'],
  ['a', '', '', '', '', 'metadata.namespace=a'],
  ['', '', 'metadata.namespace=a', 'a', '', ''],
])('a view of (%j %j %j) holds all of (%j %j %j)', (...[ns, labels, fields, askedNs, askedLabels, askedFields]) => {
  expect(rest(pods(askedNs, askedLabels, askedFields), pods(ns, labels, fields))).toBeDefined();
});

test.each([
  ['a', '', '', 'a1', '', ''],
  ['a', '', '', '', '', ''],
  ['', 'x=1', '', '', 'x', ''],
  ['', 'x=1', '', '', 'x in (1,2)', ''],
  ['', 'x', '', '', 'x!=1', ''],
  ['', '!x', '', '', 'x', ''],
  ['', 'x>3', '', '', 'x>4', ''],
  ['', '', 'spec.nodeName=n', '', '', 'status.phase=Running'],
  ['', '', 'spec.nodeName=n', '', '', 'spec.nodeName!=n'],
  ['', '', 'metadata.name=p', '', '', ''],
  ['', '', 'metadata.namespace=a', '', '', ''],
])('a view of (%j %j %j) may lack some of (%j %j %j)', (...[ns, labels, fields, askedNs, askedLabels, askedFields]) => {
  expect(rest(pods(askedNs, askedLabels, askedFields), pods(ns, labels, fields))).toBeUndefined();
});

test('what the view has selected already is not looked at again', () => {
  const left = rest(pods('a', 'x=1', 'spec.nodeName=n'), pods('a', 'x', 'spec.host=n'));
  expect(left).toEqual({ namespace: '', labels: [{ key: 'x', operator: 'in', values: ['1'] }], fields: [] });
  const same = rest(pods('a', 'x=1'), pods('a', 'x=1'));
  expect(same !== undefined && selectsEverything(same)).toBe(true);
});

test.each([
  ['a', '', '', true],
  ['b', '', '', false],
  ['', 'x=1,!y', 'metadata.name=p', true],
  ['', 'x=2', '', false],
  ['', '', 'spec.nodeName=n,metadata.namespace!=b', true],
  ['', '', 'spec.hostNetwork=true', false],
  ['', '', 'status.phase=', true],
])('of a pod, (%j %j %j) is %p', (namespace, labels, fields, selected) => {
  const pod = {
    metadata: { name: 'p', namespace: 'a', uid: 'u', resourceVersion: '1', labels: { x: '1' } },
    spec: { nodeName: 'n' },
  };
  const bytes = Buffer.from(JSON.stringify(pod));
  const typeMeta = { apiVersion: 'v1', kind: 'Pod' };
  expect(selects(selectedBy(pods(namespace, labels, fields)), jsonWire, typeMeta, bytes)).toBe(selected);
});
