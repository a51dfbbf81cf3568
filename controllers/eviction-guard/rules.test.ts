import fc from 'fast-check';
import { defaultPoolSettings, type PoolSettings } from '../../peers/membership.ts';
import { Observation } from '../../peers/observers.ts';
import { peerStates, type PeerReport } from '../../peers/report.ts';
import { noRounds } from '../../peers/rounds.ts';
import { judgePool, reasons, type MemberEvidence, type Verdict } from './rules.ts';

const hour = 3600;

/** What one member says of others; those that it does not name, it sees up. */
type Says = Readonly<Record<string, Partial<PeerReport> & { readonly state: PeerReport['state'] }>>;

interface Setup {
  /** Seconds without a sign, for those that are silent. */
  readonly silent?: Readonly<Record<string, number>>;
  readonly says?: Readonly<Record<string, Says>>;
  /** Seconds since a member was last cut off, as it reports. */
  readonly online?: Readonly<Record<string, number>>;
  /** Seconds of unbroken contact, as the guard sees it. */
  readonly contact?: Readonly<Record<string, number>>;
  readonly reportAge?: Readonly<Record<string, number>>;
  /** Found dead by this guard. */
  readonly foundDead?: readonly string[];
  readonly renewalLoss?: number;
  /** Of thirty, in which an observer's last probe of a peer that was up had failed. */
  readonly badRounds?: number;
  readonly foreignPool?: readonly string[];
  readonly member?: Readonly<Record<string, Partial<MemberEvidence>>>;
  readonly settings?: Partial<PoolSettings>;
  readonly pictureAge?: number;
}

const names = (size: number): string[] => Array.from({ length: size }, (_, n) => `e${n + 1}`);

function judge(size: number, setup: Setup): Map<string, Verdict> {
  const members = names(size).map((name): MemberEvidence => {
    const silent = setup.silent?.[name];
    const peers = names(size)
      .filter((peer) => peer !== name)
      .map((peer): PeerReport => ({
        name: peer,
        state: 'up',
        forSeconds: 3 * hour,
        probedSeconds: 2,
        failures: setup.says?.[name]?.[peer]?.state === 'silent' ? 20 : 0,
        probes: noRounds,
        ...setup.says?.[name]?.[peer],
      }));
    const report = {
      reporter: name,
      pool: setup.foreignPool?.includes(name) ? 'depot' : 'shop',
      boot: '0123456789abcdef',
      seq: 7,
      onlineSeconds: setup.online?.[name] ?? 3 * hour,
      cutSeconds: 0,
      renewals: noRounds,
      peers,
    };
    return {
      name,
      observed: {
        watchedSeconds: 3 * hour,
        everHeard: true,
        silentSeconds: silent ?? 3,
        heardForSeconds: silent === undefined ? (setup.contact?.[name] ?? 3 * hour) : 0,
        foundDead: setup.foundDead?.includes(name) === true,
        renewalLoss: setup.renewalLoss ?? 0.02,
        paths: new Map(peers.map((peer) => [peer.name, { all: 30, bad: setup.badRounds ?? 0 }])),
        report: { report, ageSeconds: setup.reportAge?.[name] ?? silent ?? 3 },
      },
      cordoned: false,
      fenced: false,
      standing: undefined,
      ...setup.member?.[name],
    };
  });
  const settings = { ...defaultPoolSettings, ...setup.settings };
  return judgePool({
    pool: 'shop',
    settings,
    members,
    observation: new Observation(names(size), settings.observers),
    pictureAgeSeconds: setup.pictureAge ?? 1,
  });
}

/** `kind/reason` of each named member, with `!` where pods are deleted. */
function verdicts(size: number, setup: Setup, of = Object.keys(setup.silent ?? {})): string[] {
  const all = judge(size, setup);
  return of.map((name) => `${all.get(name)!.kind}/${all.get(name)!.reason}${all.get(name)!.act ? '!' : ''}`);
}

const sees = (seconds: number, ...peers: string[]): Says =>
  Object.fromEntries(peers.map((peer) => [peer, { state: 'silent' as const, forSeconds: seconds }]));
const everyone = (size: number, says: Says): Record<string, Says> =>
  Object.fromEntries(names(size).map((name) => [name, says]));
const standing = (kind: Verdict['kind']): Partial<MemberEvidence> => ({ standing: kind });

describe('one member of several is silent', () => {
  test.each<[string, Setup, string]>([
    ['for less than two renewals', { silent: { e1: 19 }, says: everyone(3, sees(19, 'e1')) }, 'alive/Heard'],
    ['and all others saw it silent', { silent: { e1: 29 }, says: everyone(3, sees(22, 'e1')) }, 'dead/PeersSilent'],
    ['and is so one round later', { silent: { e1: 45 }, says: everyone(3, sees(36, 'e1')) }, 'dead/PeersSilent!'],
    ['and all others see it up: not at once', { silent: { e1: 39 } }, 'alive/Late'],
    ['and all others see it up', { silent: { e1: 40 } }, 'cutOff/PeersSeeIt'],
    ['and one of two sees it up', { silent: { e1: 400 }, says: { e2: sees(300, 'e1') } }, 'cutOff/PeersSeeIt'],
    [
      'and one of two had an answer 10 s ago',
      { silent: { e1: 50 }, says: { e2: sees(40, 'e1'), e3: sees(10, 'e1') } },
      'undecided/NotProved',
    ],
    [
      'and a witness was itself cut off meanwhile, as it says',
      { silent: { e1: 90 }, says: everyone(3, sees(80, 'e1')), online: { e2: 5, e3: 5 } },
      'undecided/NotProved',
    ],
    [
      'and a witness was itself not heard meanwhile, whatever it says',
      { silent: { e1: 90 }, says: everyone(3, sees(80, 'e1')), contact: { e2: 9, e3: 9 } },
      'undecided/NotProved',
    ],
    [
      'and the site itself loses so much that every third round failed while it was up: few probes prove nothing',
      {
        silent: { e1: 60 },
        says: everyone(3, { e1: { state: 'silent', forSeconds: 50, failures: 18 } }),
        badRounds: 10,
      },
      'dead/PeersSilent',
    ],
    [
      'and the site itself loses so much that every third round failed while it was up: many probes prove it',
      {
        silent: { e1: 90 },
        says: everyone(3, { e1: { state: 'silent', forSeconds: 80, failures: 28 } }),
        badRounds: 10,
      },
      'dead/PeersSilent!',
    ],
    [
      'and only one of two witnesses has been in contact, for too short a time to be sure alone',
      { silent: { e1: 45 }, says: everyone(3, sees(39, 'e1')), online: { e3: 5 } },
      'undecided/NotProved',
    ],
    [
      'and only one of two witnesses has been in contact, and the other agrees with it',
      { silent: { e1: 46 }, says: everyone(3, sees(40, 'e1')), online: { e3: 5 } },
      'dead/PeersSilent',
    ],
    [
      'and so, for as long as it takes to delete pods',
      { silent: { e1: 51 }, says: everyone(3, sees(45, 'e1')), online: { e3: 5 } },
      'dead/PeersSilent!',
    ],
    [
      'and the reports of it are of half a minute ago: the node may be back since',
      { silent: { e1: 45 }, says: everyone(3, sees(25, 'e1')) },
      'dead/PeersSilent',
    ],
    [
      'and the next report of a witness is due: it may have seen the node',
      { silent: { e1: 60 }, says: everyone(3, sees(50, 'e1')), reportAge: { e3: 16 } },
      'dead/PeersSilent',
    ],
    [
      'and its own way to the cloud lost every fourth renewal before: four in a row are no wonder',
      { silent: { e1: 49 }, says: everyone(3, sees(45, 'e1')), renewalLoss: 0.25 },
      'dead/PeersSilent',
    ],
    [
      'and its own way to the cloud lost every fourth renewal before: seven in a row are a wonder',
      { silent: { e1: 70 }, says: everyone(3, sees(61, 'e1')), renewalLoss: 0.25 },
      'dead/PeersSilent!',
    ],
    [
      'and the other one says nothing current',
      { silent: { e1: 70 }, says: everyone(3, sees(61, 'e1')), reportAge: { e3: 26 } },
      'undecided/NotProved',
    ],
    [
      'and the reports are old',
      { silent: { e1: 90 }, says: everyone(3, sees(60, 'e1')), reportAge: { e2: 26, e3: 26 } },
      'undecided/NoWitness',
    ],
    [
      'and the probes behind the reports are old: a prober that hangs',
      { silent: { e1: 90 }, says: everyone(3, { e1: { state: 'silent', forSeconds: 80, probedSeconds: 28 } }) },
      'undecided/NoWitness',
    ],
    [
      'and few probes were made',
      { silent: { e1: 50 }, says: everyone(3, { e1: { state: 'silent', forSeconds: 30, failures: 2 } }) },
      'undecided/NotProved',
    ],
    [
      'and the witnesses take themselves to be in another pool',
      { silent: { e1: 90 }, says: everyone(3, sees(80, 'e1')), foreignPool: ['e2', 'e3'] },
      'undecided/NoWitness',
    ],
    [
      'and witnesses have only begun to watch it',
      { silent: { e1: 90 }, says: everyone(3, { e1: { state: 'new', forSeconds: 90 } }) },
      'undecided/NoWitness',
    ],
    [
      'and its machine answers, its hub does not',
      { silent: { e1: 90 }, says: { e2: sees(80, 'e1'), e3: { e1: { state: 'host' } } } },
      'undecided/HostAnswers',
    ],
    [
      'and its hub says that its kubelet is down',
      { silent: { e1: 90 }, says: everyone(3, { e1: { state: 'sick', forSeconds: 80 } }) },
      'undecided/KubeletSick',
    ],
    [
      'and its hub has said so for as long as stock Kubernetes waits',
      { silent: { e1: 310 }, says: everyone(3, { e1: { state: 'sick', forSeconds: 301 } }) },
      'dead/KubeletDown!',
    ],
  ])('%s', (_, setup, expected) => {
    expect(verdicts(3, setup)).toEqual([expected]);
  });

  test('a report about it by a member that does not watch it is no vote', () => {
    const size = 12;
    const observers = new Observation(names(size), 2).observersOf('e1');
    const strangers = names(size).filter((name) => name !== 'e1' && !observers.includes(name));
    const settings = { observers: 2 };
    const silent = { e1: 60 };
    const by = (list: readonly string[]): Record<string, Says> =>
      Object.fromEntries(list.map((name) => [name, sees(55, 'e1')]));
    expect(verdicts(size, { settings, silent, says: by(strangers) })).toEqual(['cutOff/PeersSeeIt']);
    expect(verdicts(size, { settings, silent, says: by(observers) })).toEqual(['dead/PeersSilent!']);
  });
});

describe('small pools', () => {
  test('a pool of one is never judged', () => {
    expect(verdicts(1, { silent: { e1: 10_000 } })).toEqual(['undecided/Alone']);
  });

  test('in a pool of two the peer has to have seen nothing for a minute', () => {
    expect(verdicts(2, { silent: { e1: 65 }, says: { e2: sees(59, 'e1') } })).toEqual(['undecided/NotProved']);
    expect(verdicts(2, { silent: { e1: 65 }, says: { e2: sees(60, 'e1') } })).toEqual(['dead/PeersSilent!']);
    expect(verdicts(2, { silent: { e1: 65 } })).toEqual(['cutOff/PeersSeeIt']);
  });

  test('both of two are silent: the site', () => {
    expect(verdicts(2, { silent: { e1: 65, e2: 65 } })).toEqual(['siteCutOff/PoolSilent', 'siteCutOff/PoolSilent']);
  });

  test('two of three die one after the other: both are found', () => {
    const both = { silent: { e1: 400, e2: 70 }, says: { e3: sees(61, 'e1', 'e2') } };
    expect(verdicts(3, { ...both, foundDead: ['e1'], member: { e1: standing('dead') } })).toEqual([
      'dead/StillSilent',
      'dead/PeersSilent!',
    ]);
  });

  test('a guard that did not find the first of two dead itself cannot know that it was not back meanwhile', () => {
    const both = { silent: { e1: 400, e2: 70 }, says: { e3: sees(61, 'e1', 'e2') } };
    expect(verdicts(3, { ...both, member: { e1: standing('dead') } })).toEqual([
      'dead/StillSilent',
      'undecided/FewHeard',
    ]);
  });

  test('two of three fall silent together: a split looks the same, so only a pool that says so gives them up', () => {
    const setup = { silent: { e1: 70, e2: 70 }, says: { e3: sees(61, 'e1', 'e2') } };
    expect(verdicts(3, setup)).toEqual(['undecided/FewHeard', 'undecided/FewHeard']);
    expect(verdicts(3, { ...setup, settings: { loneWitness: true } })).toEqual([
      'dead/PeersSilent!',
      'dead/PeersSilent!',
    ]);
  });
});

describe('a split pool', () => {
  const sides = (heard: readonly string[], silent: readonly string[]): Setup => ({
    silent: Object.fromEntries(silent.map((name) => [name, 500])),
    says: Object.fromEntries(heard.map((name) => [name, sees(490, ...silent)])),
  });

  test('of five, two are heard: they condemn nobody', () => {
    expect(new Set(verdicts(5, sides(['e1', 'e2'], ['e3', 'e4', 'e5'])))).toEqual(new Set(['undecided/FewHeard']));
  });

  test('of five, three are heard: the two are out of reach of everybody', () => {
    expect(new Set(verdicts(5, sides(['e1', 'e2', 'e3'], ['e4', 'e5'])))).toEqual(new Set(['dead/PeersSilent!']));
  });

  test('of four, two are heard: a tie condemns nobody', () => {
    expect(new Set(verdicts(4, sides(['e1', 'e2'], ['e3', 'e4'])))).toEqual(new Set(['undecided/FewHeard']));
  });

  test('both sides are heard, and the node is on the side of one that does not watch it: nobody is condemned', () => {
    const size = 8;
    const settings = { observers: 2 };
    const [first, second] = new Observation(names(size), 2).observersOf('e1');
    const stranger = names(size).find((name) => name !== 'e1' && name !== first && name !== second)!;
    const others = names(size).filter((name) => name !== 'e1' && name !== stranger);
    const says = Object.fromEntries(others.map((name) => [name, sees(70, 'e1', stranger)]));
    const setup = { settings, silent: { e1: 80 }, says };
    expect(verdicts(size, setup)).toEqual(['dead/PeersSilent!']);
    expect(verdicts(size, { ...setup, says: { ...says, [stranger]: sees(70, ...others) } })).toEqual([
      'undecided/SplitPool',
    ]);
  });

  test('who may have been cut by the same event is not counted as heard yet', () => {
    const lastSigns = (e3: number): Setup => ({
      silent: { e3, e4: 31, e5: 31 },
      says: everyone(3, sees(21, 'e4', 'e5')),
      reportAge: { e3: 3 },
    });
    expect(verdicts(5, lastSigns(10), ['e4'])).toEqual(['dead/PeersSilent']);
    expect(verdicts(5, lastSigns(20), ['e4'])).toEqual(['alive/Late']);
  });

  test('one that comes over from the side of the node and has not seen it for a moment makes no majority', () => {
    const others = everyone(5, sees(60, 'e3', 'e4', 'e5'));
    const says = { e1: others['e1']!, e2: others['e2']!, e3: sees(35, 'e1', 'e2', 'e4') };
    expect(verdicts(5, { silent: { e4: 61, e5: 61 }, says }, ['e4'])).toEqual(['undecided/SplitPool']);
  });

  test('who was found dead already, and who is out of service and away, is not missed', () => {
    const setup = sides(['e1', 'e2'], ['e3', 'e4']);
    expect(verdicts(4, { ...setup, foundDead: ['e4'] }, ['e3'])).toEqual(['dead/PeersSilent!']);
    expect(verdicts(4, { ...setup, member: { e4: { cordoned: true } } }, ['e3'])).toEqual(['dead/PeersSilent!']);
  });

  test('who is out of service and heard counts as any other', () => {
    expect(verdicts(3, { ...sides(['e1', 'e2'], ['e3']), member: { e2: { cordoned: true } } })).toEqual([
      'dead/PeersSilent!',
    ]);
  });
});

describe('a site that was cut off as a whole', () => {
  test('says so of each of its members', () => {
    expect(new Set(verdicts(5, { silent: { e1: 50, e2: 50, e3: 50, e4: 50, e5: 50 } }))).toEqual(
      new Set(['siteCutOff/PoolSilent']),
    );
  });

  const back = (contact: number): Setup => ({
    silent: { e5: 900 },
    says: everyone(5, sees(880, 'e5')),
    contact: { e1: contact, e2: contact, e3: contact, e4: contact },
    online: { e1: contact, e2: contact, e3: contact, e4: contact },
  });

  test('its members may take five minutes to come back, one after the other', () => {
    const member = { e5: standing('siteCutOff') };
    expect(verdicts(5, { ...back(200), member })).toEqual(['siteCutOff/SiteReturns']);
    expect(verdicts(5, { ...back(299), member: { e5: standing('siteCutOff') } })).toEqual(['siteCutOff/SiteReturns']);
    expect(verdicts(5, { ...back(300), member })).toEqual(['dead/PeersSilent!']);
  });

  test('reports of the one that is back first count for nothing against the others', () => {
    const silent = { e2: 900, e3: 900, e4: 900, e5: 900 };
    const says = { e1: sees(800, 'e2', 'e3', 'e4', 'e5') };
    const member = Object.fromEntries(Object.keys(silent).map((name) => [name, standing('siteCutOff')]));
    expect(new Set(verdicts(5, { silent, says, member, contact: { e1: 3 }, online: { e1: 0 } }))).toEqual(
      new Set(['siteCutOff/SiteReturns']),
    );
    expect(new Set(verdicts(5, { silent, says, member }))).toEqual(new Set(['undecided/FewHeard']));
  });

  test('who was dead before is not taken for cut off', () => {
    const silent = { e1: 900, e2: 900, e3: 900 };
    expect(verdicts(3, { silent, member: { e1: standing('dead') } })).toEqual([
      'dead/StillSilent',
      'siteCutOff/PoolSilent',
      'siteCutOff/PoolSilent',
    ]);
  });
});

describe('the last decision', () => {
  test('stands when the witnesses are gone, without anything being deleted for it', () => {
    expect(
      verdicts(3, {
        silent: { e1: 900 },
        member: { e1: standing('dead') },
        reportAge: { e2: 99, e3: 99 },
      }),
    ).toEqual(['dead/StillSilent']);
  });

  test('falls with the first sign of life', () => {
    const member = { e1: standing('dead') };
    expect(verdicts(3, { silent: { e1: 2 }, member })).toEqual(['alive/Heard']);
    expect(verdicts(3, { silent: { e1: 900 }, member })).toEqual(['cutOff/PeersSeeIt']);
  });

  test('is not touched by a guard that has just started, is deaf, or knows no Lease of the node', () => {
    const dead = { silent: { e1: 900 }, says: everyone(3, sees(880, 'e1')) };
    const observed = {
      watchedSeconds: 30,
      everHeard: false,
      silentSeconds: 30,
      heardForSeconds: 0,
      foundDead: false,
      renewalLoss: 0.5,
      paths: new Map(),
      report: undefined,
    };
    expect(verdicts(3, { ...dead, member: { e1: { observed } } })).toEqual(['observing/Observing']);
    expect(verdicts(3, { ...dead, member: { e1: { observed: undefined } } })).toEqual(['observing/Observing']);
    expect(verdicts(3, { ...dead, pictureAge: 20 })).toEqual(['observing/Observing']);
  });
});

describe('a node that was declared fenced', () => {
  const member = { e1: { fenced: true } };

  test('is dead where nothing else could be known', () => {
    expect(verdicts(1, { silent: { e1: 45 }, member })).toEqual(['dead/Fenced!']);
    expect(verdicts(3, { silent: { e1: 45, e2: 45 }, says: { e3: sees(44, 'e1', 'e2') }, member })).toEqual([
      'dead/Fenced!',
      'undecided/FewHeard',
    ]);
  });

  test('is not while it is heard, or seen by a peer', () => {
    expect(verdicts(3, { silent: { e1: 5 }, member })).toEqual(['alive/Heard']);
    expect(verdicts(3, { silent: { e1: 90 }, member })).toEqual(['cutOff/PeersSeeIt']);
  });
});

test('the message says who saw what, for how long, and how many of the pool are heard', () => {
  const says = { e2: sees(31, 'e1'), e3: sees(33, 'e1') };
  expect(judge(3, { silent: { e1: 35 }, says }).get('e1')!.message).toBe(
    'silent for 35 s; silent: e2 (31 s), e3 (33 s); 2 of 3 heard',
  );
});

describe('whatever the evidence', () => {
  const seconds = fc.oneof(fc.integer({ min: 0, max: 130 }), fc.integer({ min: 0, max: 2000 }));
  const any = fc.integer({ min: 1, max: 7 }).chain((size) => {
    const each = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<Record<string, T>> =>
      fc.dictionary(fc.constantFrom(...names(size)), value, { maxKeys: size, noNullPrototype: true });
    const entry = fc.record({
      state: fc.constantFrom(...peerStates),
      forSeconds: seconds,
      probedSeconds: fc.integer({ min: 0, max: 40 }),
      failures: fc.integer({ min: 0, max: 10 }),
    });
    const member = fc.record({
      cordoned: fc.boolean(),
      fenced: fc.constantFrom(false, false, true),
      standing: fc.constantFrom(undefined, 'dead' as const, 'siteCutOff' as const),
    });
    return fc.record({
      size: fc.constant(size),
      silent: each(seconds),
      says: each(each(entry)),
      online: each(seconds),
      contact: each(seconds),
      reportAge: each(fc.integer({ min: 0, max: 40 })),
      member: each(member),
      settings: fc.record({ loneWitness: fc.boolean(), observers: fc.integer({ min: 1, max: 10 }) }),
    });
  });

  test('pods are deleted only of a node that was silent for long, that no current report saw alive, or whose kubelet is down', () => {
    fc.assert(
      fc.property(any, ({ size, ...setup }) => {
        for (const [name, verdict] of judge(size, setup)) {
          if (!verdict.act) continue;
          expect(setup.silent[name]).toBeGreaterThanOrEqual(45);
          expect(verdict.message).not.toMatch(/; up: /);
          expect(verdict.kind).toBe('dead');
        }
      }),
      { numRuns: 1000 },
    );
  });

  test('one more current report that saw the node up never makes it dead', () => {
    fc.assert(
      fc.property(any, ({ size, ...setup }) => {
        const seenUp = Object.fromEntries(
          names(size).map((name) => [
            name,
            { ...setup.says[name], e1: { state: 'up' as const, forSeconds: 9, probedSeconds: 1 } },
          ]),
        );
        const verdict = judge(size, { ...setup, says: seenUp, reportAge: {} }).get('e1')!;
        const observers = new Observation(names(size), setup.settings.observers).observersOf('e1');
        const heard = observers.filter((name) => (setup.silent[name] ?? 3) < 25);
        expect(heard.length > 0 && verdict.kind === 'dead').toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test('without a majority heard nobody is condemned by witnesses, except by the last of two, or of three where the pool allows it', () => {
    fc.assert(
      fc.property(any, ({ size, ...setup }) => {
        const plain = { ...setup, member: {}, settings: { ...setup.settings, loneWitness: false } };
        const heard = names(size).filter((name) => (setup.silent[name] ?? 3) < 25).length;
        const condemned = [...judge(size, plain).values()].some(({ reason }) => reason === 'PeersSilent');
        expect(condemned && size > 2 && heard * 2 <= size).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  test('every verdict has a reason of the table', () => {
    fc.assert(
      fc.property(any, ({ size, ...setup }) => {
        for (const { reason } of judge(size, setup).values()) expect(reasons).toContain(reason);
      }),
    );
  });
});
