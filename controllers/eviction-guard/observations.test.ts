import { formatReport, type PeerReport, type Report } from '../../peers/report.ts';
import { noRounds } from '../../peers/rounds.ts';
import { Observations, type LeaseSeen, type Refusal } from './observations.ts';

const boot = '00000000000000aa';
const peer = (state: PeerReport['state'], failures: number, probes = noRounds): PeerReport => ({
  name: 'edge-2',
  state,
  forSeconds: 5,
  probedSeconds: 1,
  failures,
  probes,
});
const report = (seq: number, change: Partial<Report> = {}): string =>
  formatReport({
    reporter: 'edge-1',
    pool: 'shop',
    boot,
    seq,
    onlineSeconds: 100,
    cutSeconds: 0,
    renewals: noRounds,
    peers: [peer('up', 0)],
    ...change,
  });

function watching(): {
  readonly see: (atSeconds: number, renewTime: string, report?: string, uid?: string, version?: number) => void;
  readonly at: (seconds: number) => ReturnType<Observations['of']>;
  readonly observations: Observations;
  readonly refusals: Refusal[];
} {
  const refusals: Refusal[] = [];
  const observations = new Observations((refusal) => refusals.push(refusal));
  return {
    see: (atSeconds, renewTime, text, uid = 'u1', version = atSeconds + 1) => {
      const seen: LeaseSeen = { nodeName: 'edge-1', uid, resourceVersion: `${version}`, renewTime, report: text };
      observations.lease(seen, atSeconds * 1000);
    },
    at: (seconds) => observations.of('edge-1', seconds * 1000),
    observations,
    refusals,
  };
}

test('a Lease that was there before says nothing: it may be a year old', () => {
  const { see, at } = watching();
  see(0, '12:00:00', report(41));
  expect(at(30)).toEqual({
    watchedSeconds: 30,
    everHeard: false,
    silentSeconds: 30,
    heardForSeconds: 0,
    foundDead: false,
    renewalLoss: 0.5,
    paths: new Map([['edge-2', noRounds]]),
    report: undefined,
  });
});

test('a change is a sign at the moment when it is seen, whatever time it names', () => {
  const { see, at } = watching();
  see(0, '2026-01-01T00:00:00Z');
  see(10, '1970-01-01T00:00:00Z');
  expect(at(15)).toMatchObject({ everHeard: true, silentSeconds: 5 });
  see(20, '2099-01-01T00:00:00Z');
  expect(at(21)).toMatchObject({ silentSeconds: 1, heardForSeconds: 11 });
});

test('the same Lease again, as by a new list, is no sign', () => {
  const { see, at } = watching();
  see(0, 'a');
  see(10, 'b', report(1));
  see(40, 'b', report(1));
  expect(at(50)).toMatchObject({ silentSeconds: 40, heardForSeconds: 0 });
});

test('what a watch brings after a list that was read meanwhile is no sign, and no replay', () => {
  const { see, at, refusals } = watching();
  see(0, 'a', report(1));
  see(10, 'c', report(3), 'u1', 103);
  see(50, 'b', report(2), 'u1', 102);
  expect(at(60)).toMatchObject({ silentSeconds: 50 });
  expect(refusals).toEqual([]);
});

test('contact begins anew after a break of more than two renewals', () => {
  const { see, at } = watching();
  for (const [n, second] of [0, 10, 20, 30, 40, 50].entries()) see(second, `t${n}`);
  expect(at(55)!.heardForSeconds).toBe(45);
  see(75, 'later');
  expect(at(80)!.heardForSeconds).toBe(5);
});

test('a report counts once it is seen to be new, and from the moment when it was', () => {
  const { see, at } = watching();
  see(0, 'a', report(7));
  see(10, 'b', report(8));
  expect(at(14)!.report).toMatchObject({ report: { seq: 8 }, ageSeconds: 4 });
});

test('a report that a kubelet without a hub goes on renewing grows old, and the node is heard all the same', () => {
  const { see, at, refusals } = watching();
  see(0, 'a', report(7));
  see(10, 'b', report(8));
  for (let second = 20; second <= 60; second += 10) see(second, `t${second}`, report(8));
  expect(at(60)).toMatchObject({ silentSeconds: 0, report: { ageSeconds: 50 } });
  expect(refusals).toEqual([]);
});

test('a replayed Lease is refused: the same boot with an older sequence, or an earlier boot', () => {
  const { see, at, refusals } = watching();
  see(0, 'a', report(7));
  see(10, 'b', report(8));
  see(20, 'c', report(9, { boot: '00000000000000bb' }));
  see(30, 'd', report(10, { boot: '00000000000000bb' }));
  see(40, 'b', report(8));
  see(50, 'c', report(9, { boot: '00000000000000bb' }));
  expect(refusals).toEqual([
    { nodeName: 'edge-1', problem: 'replayed', detail: 'boot 00000000000000aa after 00000000000000bb' },
    { nodeName: 'edge-1', problem: 'replayed', detail: 'seq 9 after 10' },
  ]);
  expect(at(50)!.report).toMatchObject({ report: { seq: 10 }, ageSeconds: 20 });
});

test('what cannot be read is refused once for each text, and the last good report grows old', () => {
  const { see, at, refusals } = watching();
  see(0, 'a', report(7));
  see(10, 'b', report(8));
  see(20, 'c', 'garbage');
  see(30, 'd', 'garbage');
  see(40, 'e', report(9, { reporter: 'edge-3' }));
  see(50, 'f', 'x'.repeat(9000));
  expect(refusals.map(({ problem }) => problem)).toEqual(['garbage', 'forged', 'oversized']);
  expect(at(50)!.report).toMatchObject({ ageSeconds: 40 });
});

test('a node that was made anew may count from one again', () => {
  const { see, at, refusals } = watching();
  see(0, 'a', report(70));
  see(10, 'b', report(71));
  see(20, 'c', report(1), 'u2');
  see(30, 'd', report(2), 'u2');
  expect(refusals).toEqual([]);
  expect(at(30)!.report).toMatchObject({ report: { seq: 2 } });
});

test("the kubelet's heartbeat in the Node is a sign as well, and the first that is seen is none", () => {
  const { see, at, observations } = watching();
  see(0, 'a');
  observations.heartbeat('edge-1', '12:00', 10_000);
  expect(at(20)!.everHeard).toBe(false);
  observations.heartbeat('edge-1', '12:05', 30_000);
  expect(at(33)).toMatchObject({ everHeard: true, silentSeconds: 3 });
});

test('of a node without a Lease nothing is known', () => {
  const { observations } = watching();
  observations.heartbeat('edge-9', '12:00', 0);
  expect(observations.of('edge-9', 1000)).toBeUndefined();
});

test('renewals that were lost on the way are known by the reports that are missing; a new boot begins anew', () => {
  const { see, at } = watching();
  see(0, 'a', report(1));
  expect(at(0)).toMatchObject({ renewalLoss: 0.5 });
  for (let n = 1; n <= 12; n += 1) see(10 * n, `b${n}`, report(1 + n));
  expect(at(120)!.renewalLoss).toBeLessThan(0.06);
  // Every second one is lost.
  for (let n = 1; n <= 24; n += 1) see(120 + 20 * n, `c${n}`, report(13 + 2 * n));
  expect(at(600)!.renewalLoss).toBeGreaterThan(0.5);
  const before = at(600)!.renewalLoss;
  see(610, 'd', report(1, { boot: '00000000000000bb' }));
  expect(at(610)!.renewalLoss).toBe(before);
});

test('how often an observer fails to reach a peer that is up is known by its reports', () => {
  const { see, at } = watching();
  const seen = (...sees: Parameters<typeof peer>): Partial<Report> => ({ peers: [peer(...sees)] });
  see(0, 'a', report(1, seen('up', 1)));
  // The first that is seen may be a year old; those that see it silent say nothing of the link while it was up.
  expect(at(0)!.paths.get('edge-2')).toEqual(noRounds);
  see(10, 'b', report(2, seen('up', 0)));
  see(20, 'c', report(3, seen('up', 2)));
  see(30, 'd', report(4, seen('silent', 9)));
  const { all, bad } = at(30)!.paths.get('edge-2')!;
  expect(all).toBeCloseTo(1.965);
  expect(bad).toBe(1);
});

test('how links were is known by the first report, however old: the nodes have kept count', () => {
  const { see, at } = watching();
  const probes = { all: 50, bad: 5 };
  see(0, 'a', report(1, { renewals: { all: 28, bad: 3 }, peers: [peer('silent', 9, probes)] }));
  expect(at(0)).toMatchObject({ everHeard: false, report: undefined, renewalLoss: 3.5 / 29 });
  expect(at(0)!.paths.get('edge-2')).toEqual(probes);
});

test('of peers that a node reports no more nothing is kept: it may name others each time', () => {
  const { see, at } = watching();
  for (let n = 0; n < 50; n += 1)
    see(10 * n, `a${n}`, report(n, { peers: [{ ...peer('up', 0), name: `edge-${n + 2}` }] }));
  expect([...at(490)!.paths.keys()]).toEqual(['edge-51']);
});

test('a node that has just started knows less of its links than the guard, which goes by what it knows itself', () => {
  const { see, at } = watching();
  const good = { all: 4, bad: 0 };
  for (let n = 0; n <= 10; n += 1) see(10 * n, `a${n}`, report(2 * n, { peers: [peer('up', 1)] }));
  see(110, 'b', report(1, { boot: '00000000000000bb', renewals: good, peers: [peer('up', 0, good)] }));
  expect(at(110)!.renewalLoss).toBeGreaterThan(0.9);
  expect(at(110)!.paths.get('edge-2')!.bad).toBeGreaterThan(5);
});

test('found dead holds until the next sign', () => {
  const { see, at, observations } = watching();
  observations.foundDead('unknown');
  see(0, 'a');
  see(10, 'b');
  observations.foundDead('edge-1');
  see(20, 'b');
  expect(at(60)).toMatchObject({ foundDead: true });
  see(70, 'c');
  expect(at(70)).toMatchObject({ foundDead: false });
});
