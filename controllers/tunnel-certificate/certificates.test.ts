import { X509Certificate } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { tunnelCertificates } from './certificates.ts';

const now = new Date('2026-01-01T00:00:00Z');
const later = (days: number): Date => new Date(now.getTime() + days * 86_400_000);
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
  expect(tunnelCertificates(first, names, later(180))).toEqual({ ...first, made: [] });
  const made = (kept: Parameters<typeof tunnelCertificates>[0], wanted: readonly string[], at: Date): string => {
    const { authority, made: reasons, server } = tunnelCertificates(kept, wanted, at);
    expect(authority).toEqual(first.authority);
    expect(server).not.toEqual(first.server);
    return reasons.join();
  };
  expect(made(first, [...names, 'tunnel.example.com'], now)).toContain('it lacks tunnel.example.com');
  expect(made(first, names, later(190))).toContain('it runs out on 2027-01-01');
  const other = tunnelCertificates(none, names, now);
  expect(made({ authority: first.authority, server: other.server }, names, now)).toContain('another authority');
  expect(made({ authority: first.authority, server: { certificate: 'x', key: 'y' } }, names, now)).toContain('read');
});
