import { once } from 'node:events';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { startFront, TestAuthority } from './front-fixture.ts';
import { Heartbeat } from './heartbeat.ts';

test('a beat goes through the hub’s listener and touches the file; without a hub it does not', async () => {
  const runDir = await mkdtemp(path.join(tmpdir(), 'holdfast-run-'));
  const front = await startFront(() => Promise.reject(new Error('the front answers this itself')));
  const heartbeat = new Heartbeat(
    { log: nullLog, clock: systemClock, certificates: front.certificates, addresses: () => front.front.addresses },
    { runDir, periodMs: 10, timeoutMs: 2_000, beatsPerConnection: 2 },
  );
  const signal = new AbortController().signal;
  const file = path.join(runDir, 'heartbeat');
  await heartbeat.beat(signal);
  await utimes(file, 1, 1);
  await heartbeat.beat(signal);
  expect((await stat(file)).mtimeMs).toBeGreaterThan(1_000_000);
  await utimes(file, 1, 1);
  const stranger = new Heartbeat(
    {
      log: nullLog,
      clock: systemClock,
      certificates: { ...front.certificates, localClient: pair(new TestAuthority().client()) },
      addresses: () => front.front.addresses,
    },
    { runDir, periodMs: 10, timeoutMs: 2_000, beatsPerConnection: 2 },
  );
  await expect(stranger.beat(signal)).rejects.toThrow('401');
  const { addresses } = front.front;
  await front.stop();
  await expect(heartbeat.beat(signal)).rejects.toThrow('does not listen');
  const toNobody = new Heartbeat(
    { log: nullLog, clock: systemClock, certificates: front.certificates, addresses: () => addresses },
    { runDir, periodMs: 10, timeoutMs: 2_000, beatsPerConnection: 2 },
  );
  await expect(toNobody.beat(signal)).rejects.toThrow('ECONNREFUSED');
  expect((await stat(file)).mtimeMs).toBe(1_000);
  await rm(runDir, { recursive: true });
});

test('a connection serves some beats, and then a new one shows that connections are accepted', async () => {
  const runDir = await mkdtemp(path.join(tmpdir(), 'holdfast-run-'));
  const front = await startFront(() => Promise.reject(new Error('nobody asks it')));
  const { serving, caCertificate } = front.certificates;
  const tls = { cert: serving.certificate, key: serving.key, ca: caCertificate, requestCert: true };
  const server = https.createServer(tls, (_request, response) => response.end());
  let connections = 0;
  server.on('secureConnection', () => void (connections += 1));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const heartbeat = new Heartbeat(
    {
      log: nullLog,
      clock: systemClock,
      certificates: front.certificates,
      addresses: () => [server.address() as AddressInfo],
    },
    { runDir, periodMs: 10, timeoutMs: 2_000, beatsPerConnection: 3 },
  );
  const signal = new AbortController().signal;
  const seen: number[] = [];
  for (let beat = 0; beat < 7; beat += 1) {
    await heartbeat.beat(signal);
    seen.push(connections);
  }
  expect(seen).toEqual([1, 1, 1, 2, 2, 2, 3]);
  const closed = once(server, 'close');
  server.close();
  heartbeat.close();
  await closed;
  await front.stop();
  await rm(runDir, { recursive: true });
});

const pair = ({ cert, key }: { cert: string; key: string }): { certificate: string; key: string } => ({
  certificate: cert,
  key,
});
