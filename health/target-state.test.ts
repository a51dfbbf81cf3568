import type { Reach } from './dial-peer.ts';
import { afterSighting, heldMs, newTarget, type Sighting, type TargetState } from './target-state.ts';

const well: Sighting = { kind: 'answered', kubelet: 'ok' };
const sick: Sighting = { kind: 'answered', kubelet: 'failing' };
const failed = (reach: Reach): Sighting => ({ kind: 'failed', reach });

/** One sighting each second from second 1 on. */
function after(...sightings: readonly Sighting[]): TargetState {
  return sightings.reduce(
    (state, sighting, index) => afterSighting(state, sighting, (index + 1) * 1_000),
    newTarget(0),
  );
}

test('one answer of a healthy kubelet is enough for a peer of which nothing is known', () => {
  expect(after(well)).toMatchObject({ state: 'up', sinceMs: 1_000, failures: 0 });
});

test('two failures are no reason to call a peer silent, three are', () => {
  const lost = failed('nothing');
  expect(after(well, lost, lost)).toMatchObject({ state: 'up', failures: 2 });
  expect(after(well, lost, lost, lost)).toMatchObject({ state: 'silent', failures: 3 });
});

test('silence is counted from the last sign of any kind', () => {
  const lost = failed('nothing');
  expect(after(well, well, lost, lost, lost)).toMatchObject({ state: 'silent', sinceMs: 2_000, heardMs: 2_000 });
  expect(after(failed('nothing'), lost, lost)).toMatchObject({ state: 'silent', sinceMs: 0 });
});

test('an answer in between begins the count anew', () => {
  const lost = failed('nothing');
  expect(after(well, lost, lost, well, lost, lost)).toMatchObject({ state: 'up', failures: 2 });
});

test('a silent peer is up again after two answers, from the first of them on', () => {
  const silent = [well, failed('nothing'), failed('nothing'), failed('nothing')];
  expect(after(...silent, well)).toMatchObject({ state: 'silent', failures: 0, heardMs: 5_000 });
  expect(after(...silent, well, well)).toMatchObject({ state: 'up', sinceMs: 5_000 });
});

test('a connection that is accepted or refused tells of a host, and of no more', () => {
  expect(after(well, failed('tcp'), failed('tcp'), failed('refused'))).toMatchObject({ state: 'host', failures: 3 });
});

test('a kubelet that is not well makes a peer sick, however well its hub answers', () => {
  expect(after(well, sick, sick, sick)).toMatchObject({ state: 'sick', sinceMs: 2_000, failures: 0 });
});

test('a peer that flaps stays what it was', () => {
  const flapping = Array.from({ length: 50 }, (_, index) => (index % 3 === 2 ? well : failed('nothing')));
  expect(after(well, ...flapping).state).toBe('up');
});

test('the report says of a silent peer how long ago it was heard, also after one answer that is not enough', () => {
  const silent = [well, failed('nothing'), failed('nothing'), failed('nothing')];
  expect(heldMs(after(...silent), 9_000)).toBe(8_000);
  expect(heldMs(after(...silent, well), 9_000)).toBe(4_000);
  expect(heldMs(after(well, well), 9_000)).toBe(8_000);
});

test('failures count when an answer shows that somebody was there: of many in a row the link has three', () => {
  const lost = failed('nothing');
  const flaps = [well, well, lost, well, well];
  const { probes } = after(...flaps);
  expect(probes).toEqual({ all: expect.closeTo(4.8), bad: expect.closeTo(0.96) });
  const outage = [lost, lost, lost, lost, lost];
  expect(after(...flaps, ...outage).probes).toEqual(probes);
  const back = after(...flaps, ...outage, well).probes;
  expect(back).toEqual({ all: expect.closeTo(8.31), bad: expect.closeTo(3.77) });
  expect(after(...outage, well).probes).toEqual({ all: 1, bad: 0 });
});
