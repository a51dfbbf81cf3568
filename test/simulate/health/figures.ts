// What the simulation shows: histories and deaths for each size of pool, as a table with the figures to reach.
import { emptyOutcome, historyMs, runDeath, runHistory, type DeathTrial, type Outcome } from './run.ts';

export interface SimulationScale {
  /** Random histories for each size of pool. */
  readonly histories: readonly (readonly [size: number, count: number])[];
  /** Deaths for each size, at each loss. */
  readonly deaths: readonly (readonly [size: number, count: number])[];
  readonly losses: readonly number[];
}

export const fullScale: SimulationScale = {
  histories: [
    [2, 800],
    [3, 2_500],
    [4, 1_200],
    [5, 2_500],
    [7, 1_500],
    [10, 1_100],
    [20, 300],
    [50, 80],
    [150, 17],
    [500, 3],
  ],
  deaths: [
    [2, 100],
    [3, 300],
    [5, 200],
    [10, 100],
    [50, 20],
    [500, 2],
  ],
  losses: [0, 0.1, 0.2, 0.3],
};

export const quickScale: SimulationScale = {
  histories: [
    [2, 20],
    [3, 60],
    [5, 60],
    [10, 20],
  ],
  deaths: [
    [3, 40],
    [10, 10],
    [100, 1],
  ],
  losses: [0.1, 0.3],
};

export interface Figure {
  readonly text: string;
  readonly isMet: boolean;
}

export interface SimulationReport {
  readonly text: string;
  readonly figures: readonly Figure[];
}

/** SuperEdge is waited for in pools up to this size only: its cost grows with the square. */
const superEdgeSize = 50;
/** Pools from this size on have all their observers. */
const fullyObservedSize = 10;

export function simulateHealth(scale: SimulationScale, seed: number): SimulationReport {
  const figures: Figure[] = [];
  const histories = scale.histories.map(([size, count]) => ({ size, count, outcome: historiesOf(size, count, seed) }));
  const sum = (of: (outcome: Outcome) => number): number =>
    histories.reduce((total, { outcome }) => total + of(outcome), 0);
  const falseEvictions = sum((outcome) => outcome.falseEvictions);
  const count = histories.reduce((total, each) => total + each.count, 0);
  const falseHistories = histories.flatMap(({ outcome }) => outcome.falseHistories);
  const listed = falseHistories.length === 0 ? '' : `: ${falseHistories.slice(0, 20).join(', ')}`;
  figures.push({
    text: `${falseEvictions} false evictions in ${count} random histories of ${historyMs / 60_000} minutes (to reach: 0)${listed}`,
    isMet: falseEvictions === 0,
  });
  const refused = sum((outcome) => outcome.refusedReports);
  figures.push({ text: `${refused} honest reports refused (to reach: 0)`, isMet: refused === 0 });

  const deaths = scale.deaths.flatMap(([size, trials]) =>
    scale.losses.map((loss) => ({
      size,
      loss,
      trials: deathsOf(size, loss, trials, seed, false),
      newGuard: deathsOf(size, loss, trials, seed, true),
    })),
  );
  for (const { size, loss, trials, newGuard } of deaths) {
    if (loss !== 0.1 || size === 2) continue;
    const p99 = quantile(secondsOf(trials, 'foundMs'), 0.99);
    const all = trials.every(({ foundMs }) => foundMs !== undefined);
    figures.push({
      text: `pool of ${size}, 10% loss: dead nodes' pods deleted, p99 of ${trials.length}: ${shown(p99)} s (to reach: under 60)`,
      isMet: all && p99 < 60,
    });
    const later = quantile(secondsOf(newGuard, 'foundMs'), 0.99);
    figures.push({
      text: `pool of ${size}, 10% loss: the same by a guard that was started as the node died: ${shown(later)} s (to reach: under 75)`,
      isMet: newGuard.every(({ foundMs }) => foundMs !== undefined) && later < 75,
    });
  }
  const costs = deaths.filter(({ size, loss }) => loss === 0.1 && size >= fullyObservedSize);
  const probes = costs.map(({ trials }) => mean(trials.map(({ perNode }) => perNode.probesPerMinute)));
  const bytes = costs.map(({ trials }) => mean(trials.map(({ perNode }) => perNode.reportBytes)));
  const sizes = `pools of ${costs.map(({ size }) => size).join(', ')}`;
  figures.push({
    text: `${sizes}: ${probes.map(shown).join(', ')} probes per node and minute (to reach: within 10% of each other)`,
    isMet: isConstant(probes),
  });
  figures.push({
    text: `${sizes}: ${bytes.map(shown).join(', ')} bytes in a report (to reach: within 10% of each other)`,
    isMet: isConstant(bytes),
  });
  return { text: [...historyTable(histories), '', ...deathTable(deaths)].join('\n'), figures };
}

function historiesOf(size: number, count: number, seed: number): Outcome {
  const outcome = emptyOutcome();
  for (let n = 0; n < count; n += 1) runHistory(size, seed * 1_000_003 + size * 20_011 + n, outcome);
  return outcome;
}

function deathsOf(size: number, loss: number, count: number, seed: number, newGuard: boolean): DeathTrial[] {
  return Array.from({ length: count }, (_, n) =>
    runDeath(size, loss, seed * 7_919 + size * 1_009 + n, {
      untilSuperEdge: !newGuard && size <= superEdgeSize,
      newGuard,
    }),
  );
}

function historyTable(rows: readonly { size: number; count: number; outcome: Outcome }[]): string[] {
  return [
    'Random histories: power, uplinks, switches, flapping, up to 30% loss and 2 s of delay, guards that restart, a cloud that is away.',
    'false: the node ran, and the cloud or the larger part of its pool could reach it. just back: dead or isolated for 45 s, then back for',
    'less than 20 s. isolated: ran, out of reach of the cloud and of more than half of its pool. new guard: of all these, by one that had been',
    'there for less than 150 s. In brackets: the rule of SuperEdge.',
    '',
    line(['pool', 'histories', 'false', 'just back', 'isolated', 'dead found', 'p50 s', 'new guard']),
    ...rows.map(({ size, count, outcome: { superEdge, ...own } }) =>
      line([
        `${size}`,
        `${count}`,
        `${own.falseEvictions} (${superEdge.falseEvictions})`,
        `${own.justBack} (${superEdge.justBack})`,
        `${own.isolated} (${superEdge.isolated})`,
        `${own.foundMs.length} (${superEdge.foundMs.length})`,
        `${shown(quantile(inSeconds(own.foundMs), 0.5))} (${shown(quantile(inSeconds(superEdge.foundMs), 0.5))})`,
        `${own.byNewGuard}`,
      ]),
    ),
  ];
}

interface DeathRow {
  readonly size: number;
  readonly loss: number;
  readonly trials: readonly DeathTrial[];
  readonly newGuard: readonly DeathTrial[];
}

function deathTable(rows: readonly DeathRow[]): string[] {
  return [
    'One machine loses its power: seconds until it is called dead, until its pods are deleted, also by a guard that was started at that moment;',
    'and what each node sends. In brackets: the rule of SuperEdge.',
    '',
    line([
      'pool',
      'loss',
      'trials',
      'found',
      'called p99 s',
      'p50 s',
      'p99 s',
      'new guard p99',
      'probes/min',
      'report bytes',
    ]),
    ...rows.map(({ size, loss, trials, newGuard }) => {
      const own = secondsOf(trials, 'foundMs');
      const others = secondsOf(trials, 'superEdgeMs');
      const wasWaitedFor = size <= superEdgeSize;
      const beside = (text: string): string => (wasWaitedFor ? ` (${text})` : '');
      return line([
        `${size}`,
        `${Math.round(loss * 100)}%`,
        `${trials.length}`,
        `${own.length}${beside(`${others.length}`)}`,
        shown(quantile(secondsOf(trials, 'calledMs'), 0.99)),
        `${shown(quantile(own, 0.5))}${beside(shown(quantile(others, 0.5)))}`,
        `${shown(quantile(own, 0.99))}${beside(shown(quantile(others, 0.99)))}`,
        shown(quantile(secondsOf(newGuard, 'foundMs'), 0.99)),
        `${shown(mean(trials.map(({ perNode }) => perNode.probesPerMinute)))} (${shown(trials[0]!.superEdgeChecksPerMinute)})`,
        shown(mean(trials.map(({ perNode }) => perNode.reportBytes))),
      ]);
    }),
  ];
}

function line(cells: readonly string[]): string {
  return cells.map((cell) => cell.padStart(14)).join('');
}

function secondsOf(trials: readonly DeathTrial[], what: 'foundMs' | 'calledMs' | 'superEdgeMs'): number[] {
  return inSeconds(trials.flatMap((trial) => trial[what] ?? []));
}

const inSeconds = (ms: readonly number[]): number[] => ms.map((each) => each / 1000);
const mean = (numbers: readonly number[]): number => numbers.reduce((sum, each) => sum + each, 0) / numbers.length;
const isConstant = (numbers: readonly number[]): boolean => Math.max(...numbers) <= 1.1 * Math.min(...numbers);
const shown = (number: number): string => (Number.isNaN(number) ? '–' : number.toFixed(number < 100 ? 1 : 0));

/** The smallest of which so many are not larger; NaN of nothing. */
function quantile(numbers: readonly number[], share: number): number {
  return numbers.toSorted((one, other) => one - other)[Math.ceil(share * numbers.length) - 1] ?? Number.NaN;
}
