import {
  decidePath,
  lossReasonOf,
  pingDeadlineMs,
  startDeadlineMs,
  worstRoundTripMs,
  type PathEvent,
  type PathStatus,
} from './cloud-state.ts';

const events: PathEvent[] = [
  { kind: 'answered' },
  { kind: 'replaced' },
  { kind: 'dialFailed', reason: 'refused' },
  { kind: 'gateway' },
  { kind: 'silent' },
];

test.each<[PathStatus, PathStatus[]]>([
  ['reachable', ['reachable', 'reachable', 'lost', 'lost', 'suspect']],
  ['suspect', ['reachable', 'reachable', 'lost', 'lost', 'suspect']],
  ['lost', ['lost', 'reachable', 'lost', 'lost', 'lost']],
])('from %s each event leads to its status', (from, to) => {
  expect(events.map((event) => decidePath(from, event).status)).toEqual(to);
});

test('probing starts with the loss and stops with the return, and never twice', () => {
  for (const from of ['reachable', 'suspect', 'lost'] as const)
    for (const event of events) {
      const { status, actions } = decidePath(from, event);
      expect(actions.includes('startProbing')).toBe(from === 'reachable' && status !== 'reachable');
      expect(actions.includes('stopProbing')).toBe(from !== 'reachable' && status === 'reachable');
    }
});

test('a loss is counted once, with its reason', () => {
  expect(decidePath('reachable', { kind: 'dialFailed', reason: 'dns' }).lossReason).toBe('dns');
  expect(decidePath('suspect', { kind: 'dialFailed', reason: 'dns' }).lossReason).toBeUndefined();
});

test('only silence rejects requests that are under way', () => {
  expect(decidePath('reachable', { kind: 'silent' }).actions).toContain('rejectPending');
  expect(decidePath('reachable', { kind: 'dialFailed', reason: 'refused' }).actions).not.toContain('rejectPending');
});

test('a satellite link gets two round trips for a ping', () => {
  expect(pingDeadlineMs(20, 2_000)).toBe(2_000);
  expect(pingDeadlineMs(2_100, 2_000)).toBe(4_200);
});

test('the first connection after a start is given four remembered round trips, without a memory as long as a ping', () => {
  expect(startDeadlineMs(20, 800, 2_000)).toBe(800);
  expect(startDeadlineMs(2_000, 800, 2_000)).toBe(8_000);
  expect(startDeadlineMs(undefined, 800, 2_000)).toBe(2_000);
});

test('a link that was slow once is given time for a while', () => {
  let worst = 0;
  for (const measured of [20, 900, 20]) worst = worstRoundTripMs(worst, measured);
  expect(worst).toBe(845);
  for (let count = 0; count < 60; count += 1) worst = worstRoundTripMs(worst, 20);
  expect(worst).toBeLessThan(45);
});

test.each([
  ['ECONNREFUSED', 'refused'],
  ['ENOTFOUND', 'dns'],
  ['CERT_NOT_YET_VALID', 'certificate_time'],
  ['CERT_HAS_EXPIRED', 'certificate_time'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'tls'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'tls'],
  ['ENETUNREACH', 'unroutable'],
  ['EWHATEVER', 'other'],
])('%s is the loss reason %s', (code, reason) => {
  expect(lossReasonOf(Object.assign(new Error('no'), { code }))).toBe(reason);
});

test('of several addresses that failed the first one gives the reason', () => {
  const refused = Object.assign(new Error('no'), { code: 'ECONNREFUSED' });
  expect(lossReasonOf(new AggregateError([refused, new Error('other')]))).toBe('refused');
});
