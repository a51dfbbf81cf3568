import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { isLocalConnection } from './identity.ts';
import { PeerProcesses, socketOwner, type Endpoints } from './peer-process.ts';

const endpoints: Endpoints = {
  remoteAddress: '127.0.0.1',
  remotePort: 0xc001,
  localAddress: '127.0.0.1',
  localPort: 10261,
};
const header = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n';
const row = (local: string, remote: string, uid: number, inode: number): string =>
  `   0: ${local} ${remote} 01 00000000:00000000 00:00000000 00000000  ${uid}        0 ${inode} 1 0000000000000000\n`;

test('the client’s row counts, not the hub’s own row of the same connection', () => {
  const table = header + row('0100007F:2815', '0100007F:C001', 0, 5) + row('0100007F:C001', '0100007F:2815', 1000, 6);
  expect(socketOwner(table, endpoints)).toEqual({ uid: 1000, inode: '6' });
  expect(socketOwner(header, endpoints)).toBeUndefined();
});

test('IPv4 inside IPv6 and IPv6 loopback are found', () => {
  const mapped = row('0000000000000000FFFF00000100007F:C001', '0000000000000000FFFF00000100007F:2815', 0, 7);
  expect(socketOwner(mapped, { ...endpoints, remoteAddress: '::ffff:127.0.0.1' })).toEqual({ uid: 0, inode: '7' });
  const six = row('00000000000000000000000001000000:C001', '00000000000000000000000001000000:2815', 0, 8);
  expect(socketOwner(six, { ...endpoints, remoteAddress: '::1', localAddress: '::1' })).toEqual({ uid: 0, inode: '8' });
});

describe('with a /proc', () => {
  let proc: string;
  beforeEach(async () => {
    proc = await mkdtemp(path.join(tmpdir(), 'holdfast-proc-'));
    for (const folder of ['net', 'self/ns', '77/fd', '77/ns'])
      await mkdir(path.join(proc, folder), { recursive: true });
    await symlink('pid:[1]', path.join(proc, 'self/ns/pid'));
  });
  afterEach(async () => await rm(proc, { recursive: true, force: true }));

  test.each([
    ['root on the host', 0, '0::/system.slice/kubelet.service\n', 'pid:[1]', 6, 'root'],
    ['another user', 1000, '0::/user.slice\n', 'pid:[1]', 6, 'not-root'],
    ['root in a pod with hostNetwork', 0, '0::/kubepods.slice/pod1/c\n', 'pid:[9]', 6, 'in-container'],
    ['root in a pod with hostPID', 0, '0::/../../kubepods/pod1/c\n', 'pid:[1]', 6, 'in-container'],
    ['root in a container of another runtime', 0, '0::/\n', 'pid:[9]', 6, 'in-container'],
    ['a process that cannot be found', 0, '0::/\n', 'pid:[1]', 99, 'unknown'],
    ['a closed socket', 0, '0::/\n', 'pid:[1]', 0, 'unknown'],
  ])('%s', async (_name, uid, cgroup, pidNamespace, inode, expected) => {
    await writeFile(path.join(proc, 'net/tcp'), header + row('0100007F:C001', '0100007F:2815', uid, inode));
    await writeFile(path.join(proc, '77/cgroup'), cgroup);
    await symlink('socket:[6]', path.join(proc, '77/fd/3'));
    await symlink(pidNamespace, path.join(proc, '77/ns/pid'));
    expect(await new PeerProcesses({ procDir: proc }).find(endpoints)).toBe(expected);
  });
});

test('the real /proc names this very process', async () => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [socket] = (await once(server, 'connection')) as [net.Socket];
  const found = await new PeerProcesses({ procDir: '/proc' }).find({
    remoteAddress: socket.remoteAddress ?? '',
    remotePort: socket.remotePort ?? 0,
    localAddress: socket.localAddress ?? '',
    localPort: socket.localPort ?? 0,
  });
  // A gate that itself runs in a pod, or not as root, is told so.
  expect(process.getuid?.() === 0 ? ['root', 'in-container'] : ['not-root']).toContain(found);
  client.destroy();
  socket.destroy();
  server.close();
});

test.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['::ffff:127.0.0.1', '::ffff:127.0.0.1', true],
  ['169.254.2.1', '169.254.2.1', true],
  ['10.244.0.7', '169.254.2.1', false],
  [undefined, undefined, false],
])('a connection from %s to %s is of this host: %s', (remote, local, expected) => {
  expect(isLocalConnection(remote, local)).toBe(expected);
});
