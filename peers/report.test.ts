import fc from 'fast-check';
import { formatReport, parseReport, peerStates, reportBounds, type PeerReport, type Report } from './report.ts';
import { noRounds } from './rounds.ts';

const report = (change: Partial<Report> = {}): Report => ({
  reporter: 'edge-1',
  pool: 'shop',
  boot: '0123456789abcdef',
  seq: 42,
  onlineSeconds: 3600,
  cutSeconds: 0,
  renewals: { all: 28, bad: 1 },
  peers: [
    { name: 'edge-2', state: 'silent', forSeconds: 25, probedSeconds: 1, failures: 9, probes: { all: 50, bad: 2 } },
  ],
  ...change,
});
const peer = (n: number, state: PeerReport['state'] = 'up'): PeerReport => ({
  name: `edge-${n}`,
  state,
  forSeconds: 5,
  probedSeconds: 1,
  failures: 0,
  probes: noRounds,
});
const parsed = (text: string, holder = 'edge-1'): Report => {
  const result = parseReport(text, holder);
  if (!result.ok) throw new Error(`${result.problem}: ${result.detail}`);
  return result.report;
};

test('the text is small, and fixed: a node of one version and a guard of another agree', () => {
  expect(formatReport(report())).toBe(
    '{"v":1,"n":"edge-1","pool":"shop","boot":"0123456789abcdef","seq":42,"on":3600,"cut":0,"peers":[["edge-2","silent",25,1,9]],"renewals":[28,1],"probes":[[50,2]]}',
  );
});

test('what is written is read again, for any report within the bounds', () => {
  const count = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max });
  const rounds = count(reportBounds.rounds).chain((all) => fc.record({ all: fc.constant(all), bad: count(all) }));
  const peers = fc.uniqueArray(
    fc.record({
      name: fc.domain().filter((name) => name !== 'edge-1'),
      state: fc.constantFrom(...peerStates),
      forSeconds: count(reportBounds.seconds),
      probedSeconds: count(reportBounds.seconds),
      failures: count(reportBounds.failures),
      probes: rounds,
    }),
    { selector: ({ name }) => name, maxLength: 12 },
  );
  fc.assert(
    fc.property(peers, count(2 ** 48), rounds, (some, seq, renewals) => {
      const written = report({ seq, renewals, peers: some });
      const read = parsed(formatReport(written));
      const inOrder = (all: readonly PeerReport[]): PeerReport[] =>
        all.toSorted((one, other) => (one.name < other.name ? -1 : 1));
      expect({ ...read, peers: inOrder(read.peers) }).toEqual({ ...written, peers: inOrder(some) });
    }),
  );
});

test('fractions are rounded towards less evidence, and ages beyond a year are a year', () => {
  const peers: PeerReport[] = [
    { ...peer(2, 'silent'), forSeconds: 59.9, probedSeconds: 1.1, failures: 123_456, probes: { all: 49.9, bad: 0.6 } },
    { ...peer(3, 'silent'), forSeconds: 1e12, probedSeconds: 1e12 },
  ];
  expect(parsed(formatReport(report({ onlineSeconds: 59.9, peers })))).toMatchObject({
    onlineSeconds: 59,
    peers: [
      { forSeconds: 59, probedSeconds: 2, failures: 9999, probes: { all: 49, bad: 1 } },
      { forSeconds: 31_536_000, probedSeconds: 31_536_000 },
    ],
  });
});

test('a report with five peers of usual names is under 400 bytes', () => {
  const peers = [2, 3, 4, 5, 6].map((n) => ({ ...peer(n), name: `shop-417-edge-node-${n}`, forSeconds: 86_400 }));
  expect(Buffer.byteLength(formatReport(report({ peers })))).toBeLessThan(400);
});

test('a writer stays within the bounds, and what it leaves out is the peers that are well', () => {
  const long = (n: number, state: PeerReport['state']): PeerReport => ({
    ...peer(n, state),
    name: `${'x'.repeat(63)}.`.repeat(3) + `${'y'.repeat(50)}${n}`,
  });
  const many = Array.from({ length: 100 }, (_, n) => peer(n + 2, n === 99 ? 'silent' : 'up'));
  const read = parsed(formatReport(report({ peers: many })));
  expect(read.peers).toHaveLength(32);
  expect(read.peers[0]).toMatchObject({ name: 'edge-101', state: 'silent' });
  const text = formatReport(report({ peers: Array.from({ length: 40 }, (_, n) => long(n, n > 35 ? 'silent' : 'up')) }));
  expect(Buffer.byteLength(text)).toBeLessThanOrEqual(reportBounds.bytes);
  expect(parsed(text).peers.filter(({ state }) => state === 'silent')).toHaveLength(4);
});

const text = formatReport(report());
const changed = (change: Record<string, unknown>): string => JSON.stringify({ ...JSON.parse(text), ...change });

test.each([
  ['oversized', `${text}${' '.repeat(9000)}`, `${text.length + 9000} bytes, at most 8192`],
  [
    'oversized',
    changed({ peers: Array.from({ length: 33 }, (_, n) => [`e${n}`, 'up', 1, 1, 0]) }),
    '33 peers, at most 32',
  ],
  ['garbage', '{"v":1,', 'not JSON: "{\\"v\\":1,"'],
  ['garbage', '', 'not JSON: ""'],
  ['version', changed({ v: 2 }), 'v is 2, must be 1'],
  ['version', '{}', 'v is undefined, must be 1'],
  ['malformed', '[]', 'not an object'],
  ['malformed', changed({ n: 'Edge_1' }), 'n is "Edge_1"'],
  ['malformed', changed({ pool: null }), 'pool is null'],
  ['malformed', changed({ boot: 'xyz' }), 'boot is "xyz"'],
  ['malformed', changed({ seq: -1 }), 'seq is -1'],
  ['malformed', changed({ seq: 2 ** 48 + 1 }), 'seq is 281474976710657'],
  ['malformed', changed({ on: 0.5 }), 'on is 0.5'],
  ['malformed', changed({ cut: '3' }), 'cut is "3"'],
  ['malformed', changed({ peers: {} }), 'peers is not a list'],
  ['malformed', changed({ peers: [['edge-2', 'silent', 25, 1]] }), 'peers[0]: not a list of five'],
  ['malformed', changed({ peers: [['edge-2', 'dead', 25, 1, 9]] }), 'peers[0]: state is "dead"'],
  ['malformed', changed({ peers: [['edge-2', 'silent', 1e9, 1, 9]] }), 'peers[0]: for is 1000000000'],
  ['malformed', changed({ peers: [['edge-2', 'silent', 25, -1, 9]] }), 'peers[0]: probed is -1'],
  ['malformed', changed({ peers: [['edge-2', 'silent', 25, 1, null]] }), 'peers[0]: failures is null'],
  ['malformed', changed({ renewals: [5, 6] }), 'renewals is [5,6]'],
  ['malformed', changed({ renewals: [1000, 0] }), 'renewals is [1000,0]'],
  ['malformed', changed({ probes: [] }), 'probes is not a list as long as peers'],
  ['malformed', changed({ probes: [[1.5, 0]] }), 'probes[0] is [1.5,0]'],
  ['malformed', changed({ peers: [['edge-1', 'up', 25, 1, 0]] }), 'peers[0]: edge-1 stands there already'],
  [
    'malformed',
    changed({
      peers: [
        ['edge-2', 'up', 25, 1, 0],
        ['edge-2', 'silent', 25, 1, 9],
      ],
      probes: undefined,
    }),
    'peers[1]: edge-2 stands there already',
  ],
  ['forged', changed({ n: 'edge-3' }), 'written by edge-3, found on the Lease of "edge-1"'],
])('a report that is %s is refused: %#', (problem, annotation, detail) => {
  expect(parseReport(annotation, 'edge-1')).toEqual({ ok: false, problem, detail });
});

test('a hub of before says nothing of its links, and is read all the same', () => {
  const { renewals: _renewals, probes: _probes, ...before } = JSON.parse(text) as Record<string, unknown>;
  expect(parsed(JSON.stringify(before))).toMatchObject({
    renewals: noRounds,
    peers: [{ failures: 9, probes: noRounds }],
  });
});

test('whatever stands there, reading it does not throw, and says little of it', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.jsonValue().map((value) => changed({ peers: value })),
      ),
      (any) => {
        const result = parseReport(any, 'edge-1');
        expect(result.ok ? 0 : result.detail.length).toBeLessThan(200);
      },
    ),
  );
});
