import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nullLog, type Log } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { hubCertificates } from './hub-ca.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'holdfast-ca-'));
});
afterEach(async () => await rm(dataDir, { recursive: true, force: true }));

const warnings: string[] = [];
const log: Log = { ...nullLog, warn: (message) => void warnings.push(message) };
const certificates = (nodeName = 'edge-1', addresses = ['127.0.0.1', 'fd00::5']) =>
  hubCertificates({ log, clock: new ManualClock() }, { dataDir, nodeName, addresses });

test('the certificates are valid at any time, for every name of the hub, and their keys are root’s', async () => {
  const made = await certificates();
  const ca = new X509Certificate(made.caCertificate);
  const serving = new X509Certificate(made.serving.certificate);
  expect(ca.ca).toBe(true);
  expect(ca.subject).toContain('edge-1');
  expect(serving.verify(ca.publicKey) && serving.checkIssued(ca)).toBe(true);
  expect([serving.validFromDate.getTime(), serving.validToDate.getUTCFullYear()]).toEqual([0, 9999]);
  for (const ip of ['127.0.0.1', '169.254.2.1', '::1', 'fd00::5']) expect(serving.checkIP(ip)).toBe(ip);
  for (const name of ['localhost', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'])
    expect(serving.checkHost(name)).toBe(name);
  expect(new X509Certificate(made.localClient.certificate).subject).toBe('O=holdfast.dev\nCN=system:node:edge-1');
  expect(new X509Certificate(made.localReader.certificate).subject).toBe('O=holdfast.dev\nCN=local-reader');
  for (const key of ['hub-ca.key', 'serving.key', 'local-client.key', 'local-reader.key'])
    expect((await stat(path.join(dataDir, key))).mode & 0o777).toBe(0o600);
});

test('OpenSSL verifies the chain strictly, now and decades away', async () => {
  await certificates();
  const at = (file: string): string => path.join(dataDir, file);
  for (const [file, purpose] of [
    ['serving.crt', 'sslserver'],
    ['local-client.crt', 'sslclient'],
  ] as const)
    for (const time of ['1', '1800000000', '4000000000'])
      expect(
        execFileSync(
          'openssl',
          ['verify', '-x509_strict', '-attime', time, '-purpose', purpose, '-CAfile', at('hub-ca.crt'), at(file)],
          { encoding: 'utf8' },
        ),
      ).toContain('OK');
});

test('what is there is kept; another listen address renews the serving certificate only', async () => {
  const first = await certificates();
  expect(await certificates()).toEqual(first);
  const third = await certificates('edge-1', ['192.0.2.7']);
  expect(third.caCertificate).toBe(first.caCertificate);
  expect(new X509Certificate(third.serving.certificate).checkIP('192.0.2.7')).toBe('192.0.2.7');
});

test.each([
  ['garbage in the certificate', 'hub-ca.crt', 'garbage'],
  ['an empty key', 'hub-ca.key', ''],
  ['the key of another', 'hub-ca.key', 'serving.key'],
])('an unusable CA is set aside and made anew: %s', async (_name, file, content) => {
  const first = await certificates();
  warnings.length = 0;
  const text = content.endsWith('.key') ? await readFile(path.join(dataDir, content), 'utf8') : content;
  await writeFile(path.join(dataDir, file), text);
  const second = await certificates();
  expect(second.caCertificate).not.toBe(first.caCertificate);
  const ca = new X509Certificate(second.caCertificate);
  expect(new X509Certificate(second.serving.certificate).verify(ca.publicKey)).toBe(true);
  expect((await readdir(dataDir)).filter((name) => name.includes('unusable')).length).toBe(2);
  expect(warnings.length).toBeGreaterThan(0);
});
