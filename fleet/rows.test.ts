import { hubReportText } from '../kube/hub-report.ts';
import { fleetRows, type NodeObject } from './rows.ts';
import { fleetText, nodeText } from './text.ts';

const now = Date.parse('2026-01-02T00:00:00Z');
const report = {
  version: '0.2.0',
  cloudSince: '2026-01-01T21:00:00.000Z',
  lists: 14,
  objects: 350,
  bytes: 1_300_000,
  tokens: 3,
  waiting: 0,
  roundTripMs: 12,
};

interface Change {
  ready?: string;
  peers?: string;
  converted?: string;
  reported?: boolean;
  pool?: string;
}

function node(name: string, change: Change = {}): NodeObject {
  const { ready = 'True', peers, converted = '0.2.0', reported = true, pool = 'shops' } = change;
  return {
    metadata: {
      name,
      labels: { 'apps.openyurt.io/nodepool': pool },
      annotations: {
        'holdfast.dev/converted': converted,
        ...(reported ? { 'holdfast.dev/hub': hubReportText(report) } : {}),
      },
    },
    status: {
      conditions: [
        { type: 'Ready', status: ready, message: 'as it is', lastTransitionTime: '2026-01-01T23:50:00Z' },
        ...(peers === undefined
          ? []
          : [{ type: 'PeerHealth', status: 'Unknown', reason: peers, message: 'seen by two' }]),
      ],
    },
  };
}

const verdictOf = (change: Change): string => {
  const [row] = fleetRows([node('n', change)]);
  return `${row?.verdict}: ${row?.why}`;
};

test('a node that is well says since when the cloud is in reach, by its own word', () => {
  expect(fleetRows([node('a')])).toEqual([
    {
      node: 'a',
      pool: 'shops',
      version: '0.2.0',
      cloud: 'in reach',
      since: report.cloudSince,
      report,
      verdict: 'well',
      why: '',
    },
  ]);
});

test('nodes without Holdfast are left out, and the others are in order of their pools', () => {
  const plain: NodeObject = { metadata: { name: 'plain' } };
  const rows = fleetRows([node('b', { pool: 'trams' }), plain, node('c'), node('a', { pool: 'trams' })]);
  expect(rows.map((row) => row.node)).toEqual(['c', 'a', 'b']);
});

test('what is said of a node that is not well follows from who says it', () => {
  expect(verdictOf({ ready: 'Unknown', peers: 'Dead' })).toBe('broken: dead: seen by two');
  expect(verdictOf({ ready: 'Unknown', peers: 'CutOff' })).toBe(
    'look: cut off, and alive as far as its peers say: seen by two',
  );
  expect(verdictOf({ ready: 'Unknown' })).toContain('nobody in the cloud can say');
  expect(verdictOf({ ready: 'False' })).toBe('broken: not Ready: as it is');
  expect(verdictOf({ reported: false })).toContain('has not reported');
  expect(verdictOf({ converted: '0.3.0' })).toBe(
    'look: Holdfast 0.3.0 is installed, and 0.2.0 ran when it reported last',
  );
  // It was heard of since, so what peers said before is over.
  expect(verdictOf({ peers: 'Dead' })).toBe('well: ');
});

test('a table for people, and one node with all that is known', () => {
  const rows = fleetRows([node('a'), node('b', { ready: 'Unknown' }), node('c', { reported: false })]);
  expect(fleetText(rows, now).split('\n')).toEqual([
    'NODE  POOL   VERSION  CLOUD     SINCE  CACHE    LISTS  WAITING  ROUND TRIP  VERDICT',
    'a     shops  0.2.0    in reach  3h     1.2 MiB  14     0        12 ms       well',
    'b     shops  0.2.0    cut off   10m    1.2 MiB  14     0        12 ms       look: nothing comes from it; whether it lives nobody in the cloud can say',
    'c     shops  0.2.0    in reach  -      -        -      -        -           look: its hub has not reported; it does within five minutes of its start',
  ]);
  expect(nodeText(rows[1]!, now)).toContain('cut off for 10m, since 2026-01-01T23:50:00Z');
  expect(nodeText(rows[1]!, now)).toContain('350 objects in 14 lists, 3 tokens, 1.2 MiB');
  expect(nodeText(rows[1]!, now)).toContain('from before it was cut off');
  expect(fleetText([], now)).toContain('holdfast convert');
});
