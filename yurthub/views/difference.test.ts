import type { Item } from '../../kube/wire.ts';
import { differenceEvents } from './difference.ts';

const item = (name: string, uid: string, resourceVersion: string): Item => ({
  namespace: 'ns',
  name,
  uid,
  resourceVersion,
  bytes: Buffer.from(name),
});

const told = (...args: Parameters<typeof differenceEvents>): string[] =>
  differenceEvents(...args).map((change) =>
    change.type === 'DELETED'
      ? `DELETED ${change.key}@${change.resourceVersion}`
      : `${change.type} ${change.item.name}@${change.resourceVersion}`,
  );

test('additions and changes come by version, deletions last and at the version of the list', () => {
  const members = new Map([
    ['ns/kept', { uid: '1' }],
    ['ns/gone', { uid: '2' }],
    ['ns/changed', { uid: '3' }],
  ]);
  expect(told(members, [item('new', '4', '120'), item('changed', '3', '99')], ['ns/gone'], '130')).toEqual([
    'MODIFIED changed@99',
    'ADDED new@120',
    'DELETED ns/gone@130',
  ]);
});

test('an object made anew under the same name is first deleted, then added', () => {
  expect(told(new Map([['ns/pod', { uid: 'old' }]]), [item('pod', 'new', '7')], [], '9')).toEqual([
    'DELETED ns/pod@7',
    'ADDED pod@7',
  ]);
});

test('a list that says nothing new gives no events', () => {
  expect(told(new Map([['ns/a', { uid: '1' }]]), [], [], '9')).toEqual([]);
});
