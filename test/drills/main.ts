// npm run drill: runs drills one after the other on clusters of their own. Exits 0 only if every check of every drill held.
import { cpSync, existsSync, mkdtempSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { sweep } from '../cluster/register.ts';
import { autonomy } from './autonomy.ts';
import type { Drill, DrillContext } from './drill.ts';
import { health } from './health.ts';
import { kubeadm } from './kubeadm.ts';
import { poolsDrill } from './pools.ts';
import { Report } from './report.ts';
import { services } from './services.ts';
import { tunnel } from './tunnel.ts';

const drills: readonly Drill[] = [autonomy, services, tunnel, health, kubeadm, poolsDrill];
const longestMs = { quick: 25 * 60_000, full: 90 * 60_000 };
/** A log beyond that is of no use in a report, and would fill the disk. */
const keptLogBytes = 50 << 20;

const usage = `npm run drill -- [NAME…] [--quick] [--only LETTERS]

${drills.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`).join('\n')}

All of them without a name. --quick: a few minutes each; order and outcome are judged, ratios only printed.
--only: some parts of a drill, for example --only ef.`;

const print = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: 'boolean' }, only: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
  const unknown = positionals.filter((name) => !drills.some((drill) => drill.name === name));
  if (values.help === true || unknown.length > 0) {
    print(unknown.length > 0 ? `no such drill: ${unknown.join(' ')}\n\n${usage}` : usage);
    return unknown.length > 0 ? 2 : 0;
  }
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new Error(`${signal}: cleaning up`)));
  }
  await sweep(print);
  const chosen = drills.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  let passed = 0;
  let failed = 0;
  for (const drill of chosen) {
    const counts = await runDrill(
      drill,
      { quick: values.quick === true, only: new Set(values.only ?? '') },
      stop.signal,
    );
    passed += counts.passed;
    failed += counts.failed;
    if (stop.signal.aborted) break;
  }
  print(`${passed} passed, ${failed} failed`);
  return failed === 0 && passed > 0 && !stop.signal.aborted ? 0 : 1;
}

async function runDrill(
  drill: Drill,
  form: Pick<DrillContext, 'quick' | 'only'>,
  stop: AbortSignal,
): Promise<Report['counts']> {
  const started = performance.now();
  const deadline = AbortSignal.timeout(form.quick ? longestMs.quick : longestMs.full);
  const signal = AbortSignal.any([stop, deadline]);
  const report = new Report(print, signal);
  const cleanUps: (() => Promise<void>)[] = [];
  const logFolders: string[] = [];
  print(`drill ${drill.name}${form.quick ? ' (quick)' : ''}: ${drill.summary}`);
  try {
    await drill.run({
      ...form,
      report,
      signal,
      defer: (cleanUp) => cleanUps.unshift(cleanUp),
      keepLogs: (folder) => logFolders.push(folder),
    });
  } catch (error) {
    report.counts.failed += 1;
    print(
      `FAIL           the drill stopped: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
    );
  }
  if (report.counts.failed > 0) keepLogs(drill.name, logFolders);
  for (const cleanUp of cleanUps) {
    await cleanUp().catch((error: unknown) => {
      report.counts.failed += 1;
      print(`FAIL           cleaning up: ${error instanceof Error ? error.message : String(error)}`);
    });
  }
  const minutes = ((performance.now() - started) / 60_000).toFixed(1);
  print(`${drill.name}: ${report.counts.passed} passed, ${report.counts.failed} failed, ${minutes} min`);
  return report.counts;
}

function keepLogs(name: string, folders: readonly string[]): void {
  const target = mkdtempSync(path.join(tmpdir(), `drill-${name}-logs-`));
  for (const folder of folders.filter(existsSync)) {
    cpSync(folder, path.join(target, path.basename(path.dirname(folder))), {
      recursive: true,
      filter: (source) => statSync(source).isDirectory() || statSync(source).size < keptLogBytes,
    });
  }
  print(`       logs are kept in ${target}`);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? `drill: ${error.message}` : error);
    process.exitCode = 1;
  },
);
