// `npm run bench -- NAME`: measures, prints a table with the figures to reach, and writes JSON if asked. Exits 0 when every
// figure was measured and met, 1 when one was not, 2 for a command line that it does not understand.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { benchControllers, controllersTable, fullControllersScale, quickControllersScale } from './controllers.ts';
import { benchHealth, fullHealthScale, quickHealthScale } from './health.ts';
import { benchHub, hubMeasurements } from './hub.ts';
import type { HubReport } from './hub.ts';
import { benchReturn } from './return.ts';
import { hubRows } from './rows.ts';
import { fullScale, quickScale } from './scale.ts';
import type { Scale } from './scale.ts';
import { countFigures, table } from './table.ts';
import { benchTunnel, fullTunnelScale, quickTunnelScale, tunnelParts } from './tunnel.ts';
import { tunnelTable } from './tunnel-rows.ts';

const usage = `npm run bench -- hub [flags]
npm run bench -- tunnel [--quick] [--only PART …]   the tunnel on loopback against a direct connection
                            parts: ${Object.keys(tunnelParts).join(', ')}
npm run bench -- health [--quick]   what it costs a node to watch its peers, and what a relay carries
npm run bench -- controllers [--quick]   5,000 nodes, 200 pools, 200 app sets on a real API server
npm run bench -- return      5,000 hubs that come back to one API server at once, simulated: who calls when; seconds

Measures the hub against a direct connection and against Go's standard reverse proxy, on a real kube-apiserver.

  --json FILE      writes what was measured as JSON
  --rounds N       rounds, 1 to 100 (default ${fullScale.rounds}, with --quick ${quickScale.rounds})
  --quick          a few minutes; figures are indications
  --hour           the memory slope over an hour, after half an hour, instead of ${fullScale.slopeMinutes} minutes
  --profile DIR    each hub leaves a CPU profile there; figures then include the profiler
  --only NAME …    some of: ${Object.keys(hubMeasurements).join(', ')}
`;

interface Arguments {
  readonly scale: Scale;
  readonly only: readonly string[];
  readonly jsonFile: string | undefined;
  readonly profileFolder: string | undefined;
}

interface TunnelArguments {
  readonly quick: boolean;
  readonly only: readonly string[];
}

const parsed = readArguments(process.argv.slice(2));
if (parsed === 'return') process.stdout.write(benchReturn(1));
else if (typeof parsed === 'object' && 'tunnel' in parsed) await tunnel(parsed.tunnel);
else if (parsed === 'health' || parsed === 'health --quick') await health(parsed !== 'health');
else if (parsed === 'controllers' || parsed === 'controllers --quick') await controllers(parsed !== 'controllers');
else if (typeof parsed === 'string') {
  process.stderr.write(`${parsed}\n\n${usage}`);
  process.exitCode = 2;
} else if (parsed === undefined) process.stdout.write(usage);
else await main(parsed);

async function tunnel({ quick, only }: TunnelArguments): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const rows = await benchTunnel(quick ? quickTunnelScale : fullTunnelScale, only, { say, signal: stop.signal });
  process.stdout.write(tunnelTable(rows));
  process.exitCode = rows.some(({ met }) => met === false) ? 1 : 0;
}

async function health(quick: boolean): Promise<void> {
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  const lines = await benchHealth(quick ? quickHealthScale : fullHealthScale, { say, signal: stop.signal });
  process.stdout.write(`${lines.join('\n')}\n`);
}

async function controllers(quick: boolean): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  const scale = quick ? quickControllersScale : fullControllersScale;
  const rows = await benchControllers(scale, { say, signal: stop.signal });
  process.stdout.write(controllersTable(rows));
  process.exitCode = rows.some(({ met }) => met === false) ? 1 : 0;
}

async function main({ scale, only, jsonFile, profileFolder }: Arguments): Promise<void> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort(new Error(`ended by ${signal}`)));
  }
  const say = (line: string): void => void process.stderr.write(`${line}\n`);
  try {
    const result = await benchHub(scale, only, { say, signal: stop.signal, profileFolder });
    if (jsonFile !== undefined) writeFileSync(jsonFile, `${JSON.stringify(result, null, 1)}\n`);
    process.exitCode = print(result, only) ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say(String(stop.signal.reason));
    process.exitCode = 1;
  }
}

/** True when nothing failed and no figure was missed. */
function print(result: HubReport, only: readonly string[]): boolean {
  const digits = new Map(hubRows.map((row) => [row.id, row.digits]));
  // With --only, figures that nobody asked for are not listed as open.
  const rows = only.length === 0 ? result.rows : result.rows.filter(({ measured }) => Object.keys(measured).length > 0);
  const { met, missed, notMeasured } = countFigures(rows);
  const machine = Object.entries(result.machine).map(([key, value]) => `${key} ${value}`);
  process.stdout.write(
    [
      '',
      table(rows, (id) => digits.get(id) ?? 1),
      '',
      'Medians of the rounds, with the least and the greatest. CPU is processor time of the proxy alone, from /proc.',
      result.pinning,
      `hub: ${result.hub}`,
      machine.join(', '),
      ...result.failures.map((failure) => `FAILED ${failure}`),
      `figures: ${met} met, ${missed} missed, ${notMeasured} not measured`,
      '',
    ].join('\n'),
  );
  return missed === 0 && notMeasured === 0 && result.failures.length === 0;
}

/** `return`, and `health` and `controllers` with or without `--quick`, are those benchmarks; another string says what is wrong; undefined asks for help. */
function readArguments(args: readonly string[]): Arguments | { tunnel: TunnelArguments } | string | undefined {
  if (args.length === 1 && args[0] === 'return') return 'return';
  if (['health', 'controllers'].includes(args[0] ?? '') && (args.length === 1 || args[1] === '--quick'))
    return args.slice(0, 2).join(' ');
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'string' },
        profile: { type: 'string' },
        rounds: { type: 'string' },
        quick: { type: 'boolean', default: false },
        hour: { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return undefined;
    const [name, ...more] = positionals;
    if (name === 'tunnel') {
      const only = [...values.only, ...more].flatMap((list) => list.split(','));
      const unknown = only.filter((part) => !(part in tunnelParts));
      if (unknown.length > 0) return `--only ${unknown.join(' ')}: there is ${Object.keys(tunnelParts).join(', ')}`;
      return { tunnel: { quick: values.quick, only } };
    }
    if (name !== 'hub')
      return name === undefined
        ? 'which benchmark?'
        : `there is no benchmark ${name}; there are hub, tunnel, health, controllers and return`;
    if (more.length > 0 && values.only.length === 0) return `${more.join(' ')}: what is that?`;
    const only = [...values.only, ...more].flatMap((list) => list.split(','));
    const unknown = only.filter((measurement) => !(measurement in hubMeasurements));
    if (unknown.length > 0) return `--only ${unknown.join(' ')}: there is ${Object.keys(hubMeasurements).join(', ')}`;
    const base = values.quick ? quickScale : fullScale;
    const rounds = values.rounds === undefined ? base.rounds : Number(values.rounds);
    if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) return `--rounds ${values.rounds}: 1 to 100`;
    return {
      scale: { ...base, rounds, slopeMinutes: values.hour ? 90 : base.slopeMinutes },
      only,
      jsonFile: values.json,
      profileFolder: values.profile === undefined ? undefined : path.resolve(values.profile),
    };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
