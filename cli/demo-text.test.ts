import { parseKubeconfig } from '../kube/kubeconfig.ts';
import { demoKubeconfig, statusLine } from './demo-text.ts';

const sinceMs = Date.parse('2026-03-01T10:20:30Z');

test('the live line tells the link from what the hub knows of it, and how old its answers are', () => {
  const held = { views: 5, objects: 12, watchers: 3 };
  const nowMs = sinceMs + 42_500;
  expect(statusLine({ ...held, cloud: { reachable: true, sinceMs } }, undefined, nowMs)).toBe(
    'link up | cloud reachable since 10:20:30 | 5 views, 12 objects, 3 watches | answers: live',
  );
  expect(statusLine({ ...held, cloud: { reachable: true, sinceMs } }, 'blackhole', nowMs)).toContain(
    'link CUT (black hole) | cloud reachable',
  );
  expect(statusLine({ ...held, cloud: { reachable: false, sinceMs } }, 'refuse', nowMs)).toMatch(
    /refused\) \| cloud OUT OF REACH since 10:20:30 \|.*answers: 42 s old$/,
  );
});

test('the kubeconfig reads back with the address, CA and credential of the hub', () => {
  const pem = (what: string): string => `-----BEGIN ${what}-----\nAAAA\n-----END ${what}-----\n`;
  const credential = { certificatePem: pem('CERTIFICATE'), privateKeyPem: pem('PRIVATE KEY') };
  const target = { url: 'https://127.0.0.1:10261', caPem: pem('CA'), credential };
  const text = demoKubeconfig(target, { credential, namespace: 'shop', watched: 'pods' });
  expect(parseKubeconfig(text, 'demo')).toMatchObject({
    server: 'https://127.0.0.1:10261',
    certificateAuthority: { pem: target.caPem },
    clientCertificate: { pem: credential.certificatePem },
    clientKey: { pem: credential.privateKeyPem },
  });
  expect(text).toContain('"namespace": "shop"');
});
