import { Networks } from '../tunnel/target.ts';
import { decideDial, type DialPolicy } from './dial-policy.ts';

const policy: DialPolicy = {
  nodeName: 'edge1',
  kubelet: { host: '127.0.0.1', port: 10250 },
  ports: [9100],
  podNetworks: new Networks(['10.244.3.0/24', 'fd00:3::/64']),
  isOwnAddress: (host) => host === '192.168.1.10',
};

test.each([
  ['edge1', 10250, '127.0.0.1'],
  ['edge1', 9100, '127.0.0.1'],
  ['192.168.1.10', 10250, '192.168.1.10'],
  ['10.244.3.7', 8080, '10.244.3.7'],
  ['::ffff:10.244.3.7', 80, '::ffff:10.244.3.7'],
  ['fd00:3::1', 80, 'fd00:3::1'],
])('%s:%d is dialled', (host, port, dialled) => {
  expect(decideDial({ host, port }, policy)).toEqual({ allowed: true, dial: { host: dialled, port } });
});

test.each([
  ['edge1', 22],
  ['192.168.1.10', 6443],
  ['edge2', 10250],
  ['192.168.1.11', 10250],
  ['10.244.4.7', 8080],
  ['localhost', 10250],
])('%s:%d is not listed, and refused', (host, port) => {
  expect(decideDial({ host, port }, policy).allowed).toBe(false);
});

// The hub and its like listen there, and trust whoever comes from there.
test.each([
  '127.0.0.1',
  '127.9.9.9',
  '0.0.0.0',
  '169.254.2.1',
  '::1',
  '::',
  '::ffff:127.0.0.1',
  '::ffff:169.254.2.1',
  'fe80::1',
])('%s is refused, whatever the networks are', (host) => {
  const open = { ...policy, podNetworks: new Networks(['0.0.0.0/0', '::/0']), isOwnAddress: () => true };
  expect(decideDial({ host, port: 10250 }, open).allowed).toBe(false);
});
