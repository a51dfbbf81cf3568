import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import type { AddressInfo } from 'node:net';
import { alwaysValid, generateKeyPair, issueCertificate, privateKeyPem } from './certificate.ts';
import type { CertificateTemplate } from './certificate.ts';

const caSubject = { commonName: 'test-ca', organizations: [] };
const caKeys = generateKeyPair();
const issuer = { subject: caSubject, privateKey: caKeys.privateKey };
const ca = issueCertificate({ subject: caSubject, ...alwaysValid, usage: 'ca', names: [] }, caKeys.publicKey, issuer);

function leaf(template: Partial<CertificateTemplate>): { cert: string; key: string } {
  const keys = generateKeyPair();
  const cert = issueCertificate(
    { subject: { commonName: 'leaf', organizations: [] }, ...alwaysValid, usage: 'server', names: [], ...template },
    keys.publicKey,
    issuer,
  );
  return { cert, key: privateKeyPem(keys.privateKey) };
}

test('a certificate reads back with the subject, names and dates that it was issued with', () => {
  const { cert } = leaf({
    subject: { commonName: 'system:node:edge-ü', organizations: ['system:nodes', 'b'] },
    names: ['hub.local', '127.0.0.1', '169.254.2.1', '::1', '2001:db8::ffff:1.2.3.4'],
    notAfter: new Date('2049-12-31T23:59:59Z'),
  });
  const read = new X509Certificate(cert);
  expect(read.subject).toBe('O=system:nodes\nO=b\nCN=system:node:edge-ü');
  expect(read.subjectAltName).toBe(
    'DNS:hub.local, IP Address:127.0.0.1, IP Address:169.254.2.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:FFFF:102:304',
  );
  expect(read.validFromDate.toISOString()).toBe('1970-01-01T00:00:00.000Z');
  expect(read.validToDate.toISOString()).toBe('2049-12-31T23:59:59.000Z');
  expect(read.checkHost('hub.local')).toBe('hub.local');
  expect(read.checkIP('::1')).toBe('::1');
});

test('a certificate that never expires reads back as 9999-12-31, and the CA as a CA', () => {
  const read = new X509Certificate(ca);
  expect(read.ca).toBe(true);
  expect(read.validToDate.toISOString()).toBe('9999-12-31T23:59:59.000Z');
  expect(read.checkIssued(read)).toBe(true);
  const child = new X509Certificate(leaf({}).cert);
  expect(child.ca).toBe(false);
  expect(child.checkIssued(read)).toBe(true);
  expect(child.verify(read.publicKey)).toBe(true);
  expect(child.verify(generateKeyPair().publicKey)).toBe(false);
});

describe('in a TLS handshake', () => {
  async function handshake(server: { cert: string; key: string }, client: { cert: string; key: string }) {
    const listener = tls.createServer({ ...server, ca, requestCert: true, rejectUnauthorized: false });
    listener.on('secureConnection', (socket) => {
      socket.on('error', () => undefined);
      socket.end(socket.authorized ? 'accepted' : String(socket.authorizationError));
    });
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const socket = tls.connect({ ...client, ca, host: '127.0.0.1', port: (listener.address() as AddressInfo).port });
    try {
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      return text;
    } finally {
      socket.destroy();
      listener.close();
      await once(listener, 'close');
    }
  }

  test('both sides accept each other for what their certificates are meant for', async () => {
    const client = leaf({ usage: 'client', subject: { commonName: 'kubectl', organizations: [] } });
    await expect(handshake(leaf({ names: ['127.0.0.1'] }), client)).resolves.toBe('accepted');
  });

  test('a server certificate is refused as a client, and one for another name as a server', async () => {
    await expect(handshake(leaf({ names: ['127.0.0.1'] }), leaf({}))).resolves.toBe('INVALID_PURPOSE');
    await expect(handshake(leaf({ names: ['10.0.0.1'] }), leaf({ usage: 'client' }))).rejects.toThrow(/altnames/i);
  });
});
