import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { edgeEnvironment, edgeNodeFlags } from '../../test/cluster/edge-runtime.ts';

const script = path.join(__dirname, '..', '..', 'config', 'node', 'supervise.sh');

/** A stand-in for the hub: prints its pid and flags, touches the heartbeat, ends by TERM with code 7. */
const hub = `
  const fs = require('node:fs');
  process.on('SIGTERM', () => { console.log('term'); process.exit(7); });
  const beat = () => fs.writeFileSync(process.env.HOLDFAST_RUN_DIR + '/heartbeat', '');
  setInterval(beat, 200); beat();
  console.log('pid ' + process.pid + ' ' + JSON.stringify(process.env));
`;

class Supervised {
  readonly process: ChildProcess;
  readonly #lines: string[] = [];
  #wake: (() => void) | undefined;

  constructor(runDir: string, program: string) {
    this.process = spawn('/bin/sh', [script, process.execPath, '-e', program], {
      env: {
        PATH: process.env['PATH'],
        HOLDFAST_RUN_DIR: runDir,
        HOLDFAST_HEARTBEAT_SECONDS: '2',
        HOLDFAST_START_SECONDS: '8',
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    createInterface({ input: this.process.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      this.#lines.push(line);
      this.#wake?.();
    });
  }

  async line(): Promise<string> {
    while (this.#lines.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#lines.shift() as string;
  }

  async pid(): Promise<number> {
    return Number((await this.line()).split(' ')[1]);
  }
}

let runDir: string;
beforeEach(async () => {
  runDir = await mkdtemp(path.join(tmpdir(), 'holdfast-supervise-'));
});
afterEach(async () => await rm(runDir, { recursive: true, force: true }));

test('a stopped hub is killed and started again, a killed one too, and TERM is passed on and waited for', async () => {
  const supervised = new Supervised(runDir, hub);
  const first = await supervised.line();
  const firstPid = Number(first.split(' ')[1]);
  process.kill(firstPid, 'SIGSTOP');
  const secondPid = await supervised.pid();
  expect(secondPid).not.toBe(firstPid);
  expect(() => process.kill(firstPid, 0)).toThrow('ESRCH');
  process.kill(secondPid, 'SIGKILL');
  const thirdPid = await supervised.pid();
  const ended = once(supervised.process, 'exit');
  supervised.process.kill('SIGTERM');
  expect(await supervised.line()).toBe('term');
  expect(await ended).toEqual([7, null]);
  expect(() => process.kill(thirdPid, 0)).toThrow('ESRCH');
});

test('the hub gets the flags and the environment that stand-ins for an edge host measure with', async () => {
  const supervised = new Supervised(runDir, hub);
  const line = await supervised.line();
  const environment = JSON.parse(line.slice(line.indexOf('{'))) as Record<string, string>;
  expect(environment).toMatchObject({ ...edgeEnvironment, NODE_OPTIONS: edgeNodeFlags.join(' ') });
  const ended = once(supervised.process, 'exit');
  supervised.process.kill('SIGTERM');
  await ended;
});
