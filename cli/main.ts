// The one executable: the only file that sees the process. Each daemon is loaded only when its subcommand runs.
import { readFileSync } from 'node:fs';
import { runCommandLine } from './command-line.ts';
import { openTerminal } from './terminal.ts';

/** Put in by tools/build.mjs; absent when the sources run directly. */
declare const HOLDFAST_VERSION: string | undefined;

const version =
  typeof HOLDFAST_VERSION === 'string'
    ? HOLDFAST_VERSION
    : (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) {
  process.on(name, () => {
    if (stop.signal.aborted) process.exit(1); // asked twice: whoever asks does not want to wait
    stop.abort(new Error(name));
  });
}

const status = await runCommandLine(
  {
    version,
    out: (text) => void process.stdout.write(`${text}\n`),
    err: (text) => void process.stderr.write(`${text}\n`),
    signal: stop.signal,
    script: process.argv[1] ?? '',
    kubeconfig: process.env['KUBECONFIG'] || undefined,
    proxy: {
      httpsProxy: process.env['HTTPS_PROXY'] ?? process.env['https_proxy'] ?? '',
      noProxy: process.env['NO_PROXY'] ?? process.env['no_proxy'] ?? '',
    },
    terminal: openTerminal(process.stdin, process.stdout),
  },
  process.argv.slice(2),
);
process.exitCode = status;
