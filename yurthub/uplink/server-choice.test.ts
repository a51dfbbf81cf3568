import type { PathStatus } from './cloud-state.ts';
import { chooseServer, newStanding, standingAfter, type ServerStanding } from './server-choice.ts';

const settings = { steadyMinMs: 30_000, steadyMaxMs: 600_000 };
const well = newStanding(0);
const lost: ServerStanding = { ...well, status: 'lost', losses: 1 };

/** What became of a server through a history of [time, status]. */
function history(...changes: [number, PathStatus][]): ServerStanding {
  return changes.reduce((standing, [at, status]) => standingAfter(standing, status, at, 0.5, settings), well);
}

test('by priority: the first that is reachable, wherever the last request went', () => {
  expect(chooseServer('priority', [well, well], 0, 0)).toBe(0);
  expect(chooseServer('priority', [well, well], 1, 0)).toBe(0);
  expect(chooseServer('priority', [lost, well], 0, 0)).toBe(1);
  expect(chooseServer('priority', [lost, lost], 0, 0)).toBeUndefined();
});

test('by priority: a server that was lost is preferred again only when it has answered for a while', () => {
  const returned = history([1_000, 'lost'], [5_000, 'reachable']);
  expect(returned.trustedFromMs).toBe(5_000 + 45_000);
  expect(chooseServer('priority', [returned, well], 1, 49_999)).toBe(1);
  expect(chooseServer('priority', [returned, well], 1, 50_000)).toBe(0);
  // Better than none, and then it is the one in use.
  expect(chooseServer('priority', [returned, lost], 1, 6_000)).toBe(0);
  expect(chooseServer('priority', [returned, well], 0, 7_000)).toBe(0);
});

test('one that flaps has to prove itself for longer each time, up to a bound; a long good time is a new beginning', () => {
  const changes: [number, PathStatus][] = [];
  const waits: number[] = [];
  for (let at = 0; at < 8; at += 1) {
    changes.push([at * 1_000, 'suspect'], [at * 1_000 + 500, 'reachable']);
    waits.push(history(...changes).trustedFromMs - (at * 1_000 + 500));
  }
  expect(waits).toEqual([45_000, 90_000, 180_000, 360_000, 720_000, 900_000, 900_000, 900_000]);
  changes.push([10_000_000, 'lost'], [10_000_500, 'reachable']);
  expect(history(...changes).losses).toBe(1);
});

test('suspect and then lost is one loss', () => {
  expect(history([0, 'suspect'], [1, 'lost'], [2, 'reachable']).losses).toBe(1);
});

test('round robin: each in turn, those that are lost left out, those that flap only when there is no other', () => {
  const turn = (servers: ServerStanding[], nowMs: number): (number | undefined)[] => {
    let last = 0;
    return Array.from({ length: 4 }, () => (last = chooseServer('round-robin', servers, last, nowMs) ?? -1));
  };
  expect(turn([well, well, well], 0)).toEqual([1, 2, 0, 1]);
  expect(turn([well, lost, well], 0)).toEqual([2, 0, 2, 0]);
  const flapping = history([1_000, 'lost'], [5_000, 'reachable']);
  expect(turn([well, flapping, well], 6_000)).toEqual([2, 0, 2, 0]);
  expect(turn([lost, flapping, lost], 6_000)).toEqual([1, 1, 1, 1]);
  expect(chooseServer('round-robin', [lost, lost], 0, 0)).toBeUndefined();
});
