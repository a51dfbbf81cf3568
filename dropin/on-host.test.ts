// The part in the pod, with a folder for the host and a script for chroot, which needs root.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runOnHost } from './on-host.ts';
import type { Outcome } from './outcome.ts';
import { unpackOutcome } from './pod-outcome.ts';

let folder: string;
let said: string[];
const inside = (name: string): string => path.join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-on-host-'));
  said = [];
  for (const name of ['archive/bin', 'archive/lib', 'host/var/tmp']) mkdirSync(inside(name), { recursive: true });
  writeFileSync(inside('archive/lib/part'), 'part');
  // Runs the command below the folder that it is to be the root of.
  writeFileSync(inside('chroot'), '#!/bin/sh\nroot=$1; shift; program=$1; shift; exec "$root$program" "$@"\n', {
    mode: 0o755,
  });
});
afterEach(() => rmSync(folder, { recursive: true }));

function command(script: string): void {
  writeFileSync(inside('archive/bin/holdfast'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function run(signal = new AbortController().signal): Promise<number> {
  const settings = {
    archive: inside('archive'),
    root: inside('host'),
    messageFile: inside('message'),
    chroot: inside('chroot'),
  };
  return runOnHost(settings, ['convert', '--timeout', '30'], (line) => said.push(line), signal);
}

const outcome: Partial<Outcome> = {
  outcome: 'rolled-back',
  message: 'as before',
  checks: [],
  steps: [],
  restartAdvised: [],
};

test('the archive is put where the host sees it, the command runs there, and its outcome is the message', async () => {
  command(`echo "$@" > "$(dirname "$0")/../args"; echo working >&2; echo '${JSON.stringify(outcome)}'; exit 1`);
  expect(await run()).toBe(1);
  expect(readFileSync(inside('host/var/tmp/holdfast/args'), 'utf8')).toBe('convert --timeout 30 --output json\n');
  expect(readFileSync(inside('host/var/tmp/holdfast/lib/part'), 'utf8')).toBe('part');
  expect(said).toEqual(['working']);
  expect(unpackOutcome(readFileSync(inside('message'), 'utf8'))).toMatchObject(outcome);
});

test('a command that ends without an outcome leaves the message to its log', async () => {
  command('echo "journal.json is no JSON" >&2; exit 1');
  expect(await run()).toBe(1);
  expect(existsSync(inside('message'))).toBe(false);
  expect(said).toEqual(['journal.json is no JSON']);
});

test('told to stop, it tells the command, and waits for its outcome', async () => {
  command(`trap 'echo "\${0##*/} takes it back" >&2; echo "$outcome"; exit 1' TERM
outcome='${JSON.stringify(outcome)}'
echo started >&2
while :; do sleep 0.05; done`);
  const stop = new AbortController();
  const running = run(stop.signal);
  await new Promise<void>((resolve) => {
    const push = said.push.bind(said);
    said.push = (...lines) => {
      if (lines.includes('started')) resolve();
      return push(...lines);
    };
  });
  stop.abort();
  expect(await running).toBe(1);
  expect(said).toContain('holdfast takes it back');
  expect(unpackOutcome(readFileSync(inside('message'), 'utf8'))).toMatchObject(outcome);
});
