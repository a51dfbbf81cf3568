import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { ClientTrustFiles } from './client-trust.ts';
import { TestAuthority } from './front-fixture.ts';

test('files that change are read again, and files that break leave what was known', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'holdfast-trust-'));
  const clientCAFile = path.join(directory, 'ca.crt');
  const clientCertificateFile = path.join(directory, 'client.pem');
  const [first, second] = [new TestAuthority(), new TestAuthority()];
  const own = first.client();
  await writeFile(clientCAFile, first.pem);
  // The kubelet keeps certificate and key in one file.
  await writeFile(clientCertificateFile, own.cert + own.key);
  const clock = new ManualClock();
  const files = new ClientTrustFiles({ log: nullLog, clock }, { clientCAFile, clientCertificateFile });
  const before = await files.current();
  expect(before.own?.subject).toBe('O=system:nodes\nCN=system:node:edge-1');
  expect(before.clientCas.length).toBe(1);

  await writeFile(`${clientCAFile}.new`, first.pem + second.pem);
  await rename(`${clientCAFile}.new`, clientCAFile);
  expect((await files.current()).clientCas.length).toBe(1);
  clock.advance(1_000);
  expect((await files.current()).clientCas.length).toBe(2);

  await rm(clientCAFile);
  clock.advance(1_000);
  expect((await files.current()).clientCas.length).toBe(2);
  await rm(directory, { recursive: true });
});
