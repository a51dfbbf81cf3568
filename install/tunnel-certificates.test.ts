import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { tunnelCertificates } from './tunnel-certificates.ts';
import { tunnelObjects } from './tunnel-objects.ts';

const now = new Date('2026-01-01T00:00:00Z');
const later = (years: number): Date => new Date(now.getTime() + years * 365 * 86_400_000);
const none = { authority: undefined, server: undefined };
const names = ['10.0.0.1', 'cp1'];
const first = tunnelCertificates(none, names, now);

test('the authority signs a certificate for every name by which a server is found', () => {
  const authority = new X509Certificate(first.authority.certificate);
  const server = new X509Certificate(first.server.certificate);
  expect(authority.ca).toBe(true);
  expect(server.checkIssued(authority) && server.verify(authority.publicKey)).toBe(true);
  expect([server.checkIP('10.0.0.1'), server.checkHost('cp1'), server.checkHost('other')]).toEqual([
    '10.0.0.1',
    'cp1',
    undefined,
  ]);
  expect(first.made).toHaveLength(2);
});

test('an agent that trusts the authority and nothing else accepts the server by name and by address', async () => {
  const { authority, server: pair } = tunnelCertificates(none, ['127.0.0.1', 'localhost'], new Date());
  const server = tls.createServer({ cert: pair.certificate, key: pair.key, minVersion: 'TLSv1.3' }, (socket) =>
    socket.end(),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const dial = (servername: string | undefined, ca: string): Promise<boolean> =>
    new Promise((resolve, reject) => {
      const socket = tls.connect({ host: '127.0.0.1', port, ca, ...(servername === undefined ? {} : { servername }) });
      socket.once('secureConnect', () => {
        resolve(socket.authorized);
        socket.destroy();
      });
      socket.once('error', reject);
    });
  try {
    expect(await dial(undefined, authority.certificate)).toBe(true);
    expect(await dial('localhost', authority.certificate)).toBe(true);
    await expect(dial('localhost', first.authority.certificate)).rejects.toThrow('unable to verify');
    await expect(dial('other', authority.certificate)).rejects.toThrow('other');
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

test('what is good stays; what lacks a name, is in its second half, or is of another authority is made anew', () => {
  expect(tunnelCertificates(first, names, later(2))).toEqual({ ...first, made: [] });
  const made = (kept: Parameters<typeof tunnelCertificates>[0], wanted: readonly string[], at: Date): string => {
    const { authority, made: reasons, server } = tunnelCertificates(kept, wanted, at);
    expect(authority).toEqual(first.authority);
    expect(server).not.toEqual(first.server);
    return reasons.join();
  };
  expect(made(first, [...names, 'tunnel.example.com'], now)).toContain('it lacks tunnel.example.com');
  expect(made(first, names, later(3))).toContain('it runs out on 2030-12-31');
  const other = tunnelCertificates(none, names, now);
  expect(made({ authority: first.authority, server: other.server }, names, now)).toContain('another authority');
  expect(made({ authority: first.authority, server: { certificate: 'x', key: 'y' } }, names, now)).toContain('read');
});

test('control planes that come are servers too, unless somebody has said which there are', () => {
  const plane = (name: string, address: string) => ({ name, addresses: [address] });
  const facts = { agents: undefined, authority: undefined, server: undefined, given: [] };
  const both = [plane('cp1', '10.0.0.1'), plane('cp2', 'fd00::2')];
  expect(tunnelObjects({ ...facts, controlPlanes: both }, now).servers).toEqual(['10.0.0.1:10262', '[fd00::2]:10262']);
  const given = tunnelObjects({ ...facts, controlPlanes: both, given: ['t.example.com:443'] }, now);
  const [agents] = given.objects.filter(({ kind }) => kind === 'ConfigMap');
  const kept = { metadata: agents!.metadata, data: agents!['data'] as Record<string, string> };
  expect(tunnelObjects({ ...facts, agents: kept, controlPlanes: both }, now).servers).toEqual(['t.example.com:443']);
});
