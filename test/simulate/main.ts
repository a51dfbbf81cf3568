// `npm run simulate -- health`: what the guard and the observers decide in thousands of histories that no machine could wait for.
// Exits 0 when every figure is met, 1 when one is not, 2 for a command line that it does not understand.
import { parseArgs } from 'node:util';
import { fullScale, quickScale, simulateHealth } from './health/figures.ts';

const usage = `npm run simulate -- health [--quick] [--seed NUMBER]

10,000 random histories of pools of 2 to 500 nodes, with the code that decides: who watches whom (peers/), what an observer makes of its
probes (health/), the report on the Lease, the guard's observations and rules (controllers/eviction-guard/). The same seed gives the
same histories. Some minutes; --quick: seconds.
`;

const parsed = readArguments(process.argv.slice(2));
if (typeof parsed === 'string') {
  process.stderr.write(`${parsed}\n\n${usage}`);
  process.exitCode = 2;
} else {
  const { text, figures } = simulateHealth(parsed.quick ? quickScale : fullScale, parsed.seed);
  process.stdout.write(`${text}\n\n`);
  for (const figure of figures) process.stdout.write(`${figure.isMet ? 'met   ' : 'MISSED'} ${figure.text}\n`);
  const missed = figures.filter(({ isMet }) => !isMet).length;
  process.stdout.write(`${figures.length - missed} figures met, ${missed} missed\n`);
  process.exitCode = missed === 0 ? 0 : 1;
}

function readArguments(argv: readonly string[]): { readonly quick: boolean; readonly seed: number } | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { quick: { type: 'boolean' }, seed: { type: 'string' } },
    });
    if (positionals.length !== 1 || positionals[0] !== 'health') return 'name one simulation: health';
    const seed = Number(values.seed ?? '1');
    if (!Number.isInteger(seed) || seed < 0 || seed > 1_000_000) return '--seed must be a whole number up to 1000000';
    return { quick: values.quick === true, seed };
  } catch (error) {
    return (error as Error).message;
  }
}
