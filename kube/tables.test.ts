import { ageText } from './age-text.ts';
import { tableOf } from './tables.ts';

const start = Date.parse('2026-03-01T00:00:00Z');
const second = 1;
const minute = 60;
const hour = 3600;
const day = 24 * hour;

// The answers of k8s.io/apimachinery/pkg/util/duration (duration_test.go, TestHumanDuration).
test.each([
  [second, '1s'],
  [70 * second, '70s'],
  [190 * second, '3m10s'],
  [70 * minute, '70m'],
  [47 * hour, '47h'],
  [49 * hour, '2d1h'],
  [(8 * 24 + 2) * hour, '8d'],
  [367 * day, '367d'],
  [(365 * 2 + 25) * day, '2y25d'],
  [(365 * 8 + 2) * day, '8y'],
  [-second, '0s'],
])('an age of %d s is written %s', (seconds, expected) => {
  expect(ageText('2026-03-01T00:00:00Z', start + seconds * 1000)).toBe(expected);
});

test('a time that is missing is an unknown age', () => {
  expect(ageText('', start)).toBe('<unknown>');
});

const pod = (): Record<string, unknown> => ({
  metadata: { name: 'till-0', creationTimestamp: '2026-03-01T00:00:00Z' },
  spec: { nodeName: 'edge-1', containers: [{ name: 'till' }] },
  status: {
    phase: 'Running',
    podIP: '10.0.0.1',
    containerStatuses: [{ name: 'till', ready: true, restartCount: 0, state: { running: {} } }],
  },
});

function podCells(change: (pod: Record<string, unknown>) => void): unknown[] {
  const changed = pod();
  change(changed);
  const options = { nowMs: start + 5000, includeObject: 'None', withColumns: true };
  const { rows } = tableOf('Pod', [changed], {}, options) as { rows: { cells: unknown[] }[] };
  return rows[0]?.cells ?? [];
}

test('a pod shows readiness, what is wrong with it, and restarts', () => {
  expect(podCells(() => undefined)).toEqual([
    'till-0',
    '1/1',
    'Running',
    '0',
    '5s',
    '10.0.0.1',
    'edge-1',
    '<none>',
    '<none>',
  ]);
  const crashing = podCells((changed) => {
    changed['status'] = {
      phase: 'Running',
      containerStatuses: [{ ready: false, restartCount: 7, state: { waiting: { reason: 'CrashLoopBackOff' } } }],
    };
  });
  expect(crashing.slice(1, 4)).toEqual(['0/1', 'CrashLoopBackOff', '7']);
  const leaving = podCells((changed) => {
    (changed['metadata'] as Record<string, unknown>)['deletionTimestamp'] = '2026-03-01T00:00:03Z';
  });
  expect(leaving[2]).toBe('Terminating');
});
