// Many nodes come, are used, and go, again and again: what the server holds is then what it held before. The agents are real and run
// in this process; behind each is an echo instead of a kubelet.
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { createAgent } from '../../../tunnel-agent/run.ts';
import { readAgentSettings } from '../../../tunnel-agent/settings.ts';
import { waitFor } from '../../cluster/commands.ts';
import { echoSession } from '../../cluster/echo-session.ts';
import { expectThat } from '../report.ts';
import type { TunnelStage } from './stage.ts';

const nodes = 200;
const sessionsEach = 20;
const rounds = 7;
/** Until malloc and V8 have what they keep: connections end in another order than they came in, so it takes more than one. */
const warmRounds = 4;
/** V8 keeps heap that it does not use: 150 MiB of which 10 are in use after a collection. A leak of sessions would be more. */
const grownAtMostMiB = 60;

const nodeName = (i: number): string => `hollow-${i}`;

export async function churn(stage: TunnelStage): Promise<void> {
  const { plane } = stage.cluster;
  const folder = path.join(stage.folder, 'hollow');
  mkdirSync(folder, { recursive: true });
  for (let i = 0; i < nodes; i += 1) {
    const pair = plane.nodeCertificate(nodeName(i));
    writeFileSync(path.join(folder, `${nodeName(i)}.pem`), pair.certificate + pair.key, { mode: 0o600 });
    const metadata = { name: nodeName(i), labels: { 'holdfast.dev/tunnel': 'true' } };
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
  }
  const echo = net.createServer((socket) => void socket.on('error', () => undefined).pipe(socket));
  await new Promise<void>((resolve) => void echo.listen(0, '127.0.0.1', resolve));
  const echoPort = (echo.address() as AddressInfo).port;
  try {
    await stage.report.check(
      `${nodes} nodes with ${sessionsEach} sessions each, ${rounds} times: descriptors, registrations and memory return`,
      async () => {
        const resident: number[] = [];
        const play = async (times: number): Promise<void> => {
          for (let i = 0; i < times; i += 1) {
            await round(stage, folder, echoPort);
            resident.push(stage.usage().residentMiB);
          }
        };
        await play(warmRounds);
        const before = stage.usage();
        await play(rounds - warmRounds);
        const after = await waitFor(
          'descriptors as before',
          () => {
            const now = stage.usage();
            return now.descriptors <= before.descriptors + 3 ? now : undefined;
          },
          { deadlineMs: 180_000 },
        );
        const grownMiB = after.residentMiB - before.residentMiB;
        expectThat(grownMiB <= grownAtMostMiB, `MiB resident after each round: ${resident.join(', ')}`);
        return (
          `descriptors ${before.descriptors} and ${after.descriptors}, ` +
          `MiB resident after each round: ${resident.join(', ')}`
        );
      },
    );
  } finally {
    echo.close();
    for (let i = 0; i < nodes; i += 1) await plane.rawRequest('DELETE', `/api/v1/nodes/${nodeName(i)}`);
  }
}

/** All connect, all are used, all go. */
async function round(stage: TunnelStage, folder: string, echoPort: number): Promise<void> {
  const stop = new AbortController();
  const running = Array.from({ length: nodes }, (_, i) => {
    const pem = path.join(folder, `${nodeName(i)}.pem`);
    const flags = {
      servers: stage.agentAddress(1),
      certificateFile: pem,
      keyFile: pem,
      serverCAFile: stage.cluster.plane.caFile,
      kubeletAddress: `127.0.0.1:${echoPort}`,
    };
    const settings = readAgentSettings(flags, { httpsProxy: '', noProxy: '' });
    return createAgent({ log: nullLog, metrics: new Metrics() }, settings, 'hollow').run(stop.signal);
  });
  try {
    await registered(stage, nodes);
    for (let i = 0; i < nodes; i += 1)
      await Promise.all(
        Array.from({ length: sessionsEach }, () => echoSession(stage.socket(), `${nodeName(i)}:${echoPort}`, 'hello')),
      );
  } finally {
    stop.abort();
    await Promise.all(running);
  }
  await registered(stage, 0);
}

async function registered(stage: TunnelStage, count: number): Promise<void> {
  await waitFor(`${count} hollow nodes are connected`, async () => (await stage.connected('hollow-')) === count, {
    deadlineMs: 120_000,
    everyMs: 200,
  });
}
