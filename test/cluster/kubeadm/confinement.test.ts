import { confinement } from './confinement.ts';
import { Unit } from './unit-file.ts';

test('a unit that asks for nothing is started as it is', () => {
  expect(confinement(new Unit(['[Service]\nExecStart=/bin/true\n']))).toEqual([]);
});

test('capabilities are those that are named, and no more', () => {
  const unit = new Unit(['CapabilityBoundingSet=CAP_NET_ADMIN CAP_CHOWN\nNoNewPrivileges=yes\n']);
  expect(confinement(unit)).toEqual(['setpriv', '--bounding-set=-all,+net_admin,+chown', '--no-new-privs']);
  expect(confinement(new Unit(['NoNewPrivileges=yes']))).toEqual(['setpriv', '--no-new-privs']);
});

test('of a read-only file system the folders of the unit are left out', () => {
  const words = confinement(
    new Unit(['ProtectSystem=strict\nStateDirectory=holdfast\nRuntimeDirectory=holdfast\nReadWritePaths=/etc/hosts\n']),
  );
  expect(words.slice(0, 4)).toEqual(['unshare', '--mount', '--propagation', 'slave']);
  expect(words.slice(-5)).toEqual(['sh', '/run/holdfast', '/var/lib/holdfast', '/etc/hosts', '--']);
});
