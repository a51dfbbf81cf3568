// `npm run simulate -- health`: what the guard and the observers decide in thousands of histories that no machine could wait for.
// Exits 0 when every figure is met, 1 when one is not, 2 for a command line that it does not understand.
import { parseArgs } from 'node:util';
import { fullScale, quickScale, simulateHealth } from './health/figures.ts';
import { emptyOutcome, runHistory } from './health/run.ts';

const usage = `npm run simulate -- health [--quick] [--seed NUMBER | --history SIZE:SEED]

10,000 random histories of pools of 2 to 500 nodes, with the code that decides: who watches whom (peers/), what an observer makes of its
probes (health/), the report on the Lease, the guard's observations and rules (controllers/eviction-guard/). The same seed gives the
same histories. Some minutes; --quick: seconds. --history: what happens and what is decided in one of them, line by line.
`;

const parsed = readArguments(process.argv.slice(2));
if (typeof parsed === 'string') {
  process.stderr.write(`${parsed}\n\n${usage}`);
  process.exitCode = 2;
} else if (parsed.history !== undefined) {
  const outcome = emptyOutcome();
  runHistory(parsed.history.size, parsed.history.seed, outcome, (atMs, what) =>
    process.stdout.write(`${(atMs / 1000).toFixed(1).padStart(6)} s  ${what}\n`),
  );
  process.stdout.write(`${outcome.falseEvictions} false evictions\n`);
  process.exitCode = outcome.falseEvictions === 0 ? 0 : 1;
} else {
  const { text, figures } = simulateHealth(parsed.quick ? quickScale : fullScale, parsed.seed);
  process.stdout.write(`${text}\n\n`);
  for (const figure of figures) process.stdout.write(`${figure.isMet ? 'met   ' : 'MISSED'} ${figure.text}\n`);
  const missed = figures.filter(({ isMet }) => !isMet).length;
  process.stdout.write(`${figures.length - missed} figures met, ${missed} missed\n`);
  process.exitCode = missed === 0 ? 0 : 1;
}

interface Arguments {
  readonly quick: boolean;
  readonly seed: number;
  readonly history: { readonly size: number; readonly seed: number } | undefined;
}

function readArguments(argv: readonly string[]): Arguments | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { quick: { type: 'boolean' }, seed: { type: 'string' }, history: { type: 'string' } },
    });
    if (positionals.length !== 1 || positionals[0] !== 'health') return 'name one simulation: health';
    const seed = Number(values.seed ?? '1');
    if (!Number.isInteger(seed) || seed < 0 || seed > 1_000_000) return '--seed must be a whole number up to 1000000';
    const [size = Number.NaN, of = Number.NaN] = (values.history ?? '2:0').split(':').map(Number);
    if (!Number.isInteger(size) || !Number.isInteger(of) || size < 2 || size > 500)
      return '--history must be SIZE:SEED, as the simulation prints it';
    const history = values.history === undefined ? undefined : { size, seed: of };
    return { quick: values.quick === true, seed, history };
  } catch (error) {
    return (error as Error).message;
  }
}
