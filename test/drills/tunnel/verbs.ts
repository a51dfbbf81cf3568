// Every verb of kubectl that needs the kubelet or a pod, over both of its transports, at both sites.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { RunResult } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const transports = [
  ['WebSocket', true],
  ['SPDY', false],
] as const;
const inputBytes = 1 << 20;
const parallel = 50;

export async function verbs(stage: TunnelStage): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-verbs-'));
  try {
    for (const { name } of stage.nodes) await plainVerbs(stage, name);
    for (const { name } of stage.nodes) {
      for (const [transport, webSockets] of transports) await streams(stage, name, transport, webSockets);
    }
    for (const [i, { name }] of stage.nodes.entries()) {
      const chosen = stage.quick ? transports.slice(i, i + 1) : transports;
      for (const [transport, webSockets] of chosen) await copies(stage, name, transport, webSockets, folder);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function plainVerbs(stage: TunnelStage, name: string): Promise<void> {
  const { report } = stage;
  await report.check(`${name}: logs come from its own pod`, async () => {
    expectResult(await stage.kubectl(['logs', podOf(name)]), 0, new RegExp(`^this is ${name}\ntick 1\n`));
  });
  await report.check(`${name}: logs -f goes on`, async () => {
    const child = spawn('timeout', ['20', ...stage.kubectlArgv(['logs', '-f', '--tail=1', podOf(name)])], {
      env: stage.kubectlEnvironment(true),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const ticks: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      ticks.push(Number(line.split(' ')[1]));
      if (ticks.length === 3) break;
    }
    child.kill();
    const [first = 0] = ticks;
    expectThat(ticks.length === 3 && ticks.every((tick, i) => tick === first + i), `ticks ${ticks.join(' ')}`);
  });
  await report.check(`${name}: get --raw of the node's proxy and of the pod's`, async () => {
    const health = await stage.kubectl(['get', '--raw', `/api/v1/nodes/${name}/proxy/healthz`]);
    expectResult(health, 0, /^ok$/);
    const page = await stage.kubectl(['get', '--raw', `/api/v1/namespaces/default/pods/${podOf(name)}:8080/proxy/`]);
    expectResult(page, 0, new RegExp(`^${name}\n$`));
  });
}

async function streams(stage: TunnelStage, name: string, transport: string, webSockets: boolean): Promise<void> {
  const { report } = stage;
  const kubectl = (args: readonly string[], input = ''): Promise<RunResult> =>
    stage.kubectl(args, { webSockets, input });
  await report.check(`${name}, ${transport}: exec with input, its end, and the late reply`, async () => {
    const result = await kubectl(['exec', '-i', podOf(name), '--', 'sh', '-c', 'cat | wc -c'], 'x'.repeat(inputBytes));
    expectResult(result, 0, new RegExp(`^\\s*${inputBytes}\\s*$`));
  });
  await report.check(`${name}, ${transport}: exec gives the exit code`, async () => {
    const result = await kubectl(['exec', podOf(name), '--', 'sh', '-c', 'cat /www/index.html; exit 42']);
    expectResult(result, 42, new RegExp(`^${name}\n$`));
  });
  await report.check(`${name}, ${transport}: exec with a terminal of the right size`, async () => {
    // The size arrives a moment after the terminal.
    const inside = ['exec', '-it', podOf(name), '--', 'sh', '-c', "'sleep 1; stty size'"];
    const command = `stty rows 33 cols 99; ${stage.kubectlArgv(inside).join(' ')}`;
    const result = spawnSync('script', ['-qec', command, '/dev/null'], {
      env: stage.kubectlEnvironment(webSockets),
      encoding: 'utf8',
      timeout: 30_000,
    });
    expectThat(/\b33 99\b/.test(result.stdout), JSON.stringify(result.stdout));
  });
  await report.check(`${name}, ${transport}: attach`, async () => {
    const child = spawn('timeout', ['20', ...stage.kubectlArgv(['attach', podOf(name)])], {
      env: stage.kubectlEnvironment(webSockets),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const { value } = await lines.next();
    child.kill();
    expectThat(/^tick \d+/.test(String(value)), String(value));
  });
  await report.check(`${name}, ${transport}: port-forward, ${parallel} at a time`, async () => {
    const child = spawn('timeout', ['60', ...stage.kubectlArgv(['port-forward', podOf(name), ':8080'])], {
      env: stage.kubectlEnvironment(webSockets),
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
      const { value } = await lines.next();
      const port = Number(/127\.0\.0\.1:(\d+) ->/.exec(String(value))?.[1]);
      const pages = await Promise.all(Array.from({ length: parallel }, () => page(port)));
      const wrong = pages.filter((text) => text !== `${name}\n`);
      expectThat(wrong.length === 0, `${wrong.length} wrong: ${JSON.stringify(wrong[0])}`);
    } finally {
      child.kill();
    }
  });
}

/** 100 MiB of noise there and back. */
async function copies(
  stage: TunnelStage,
  name: string,
  transport: string,
  webSockets: boolean,
  folder: string,
): Promise<void> {
  const mebibytes = stage.quick ? 30 : 100;
  await stage.report.check(`${name}, ${transport}: cp of ${mebibytes} MiB there and back, equal hashes`, async () => {
    const there = path.join(folder, 'there');
    const back = path.join(folder, 'back');
    const noise = Buffer.concat(Array.from({ length: mebibytes }, () => randomBytes(1 << 20)));
    writeFileSync(there, noise);
    const options = { webSockets, timeoutMs: 120_000 };
    const startMs = performance.now();
    expectResult(await stage.kubectl(['cp', there, `${podOf(name)}:/tmp/there`], options), 0, /^/);
    const halfMs = performance.now();
    expectResult(await stage.kubectl(['cp', `${podOf(name)}:/tmp/there`, back], options), 0, /^/);
    const endMs = performance.now();
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expectThat(hash(noise) === hash(readFileSync(back)), 'the hashes differ');
    const rate = (fromMs: number, toMs: number): string => `${((mebibytes * 1000) / (toMs - fromMs)).toFixed(0)} MiB/s`;
    return `${rate(startMs, halfMs)} there, ${rate(halfMs, endMs)} back`;
  });
}

async function page(port: number): Promise<string> {
  const request = http.get({ host: '127.0.0.1', port, agent: false, timeout: 20_000 });
  request.on('timeout', () => request.destroy(new Error('no answer')));
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

export function expectResult(result: RunResult, code: number, stdout: RegExp): void {
  if (result.code === code && stdout.test(result.stdout)) return;
  throw new Error(
    `exit code ${result.code}, ${JSON.stringify(result.stdout.slice(0, 300))}, ${JSON.stringify(result.stderr.slice(0, 500))}`,
  );
}
