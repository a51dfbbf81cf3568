// What a unit's settings for its safety come to where systemd is stood in for: capabilities, no new rights, and a file system that is
// read-only but for what the unit may write. The others need system call filters, and are not stood in for. (systemd.exec(5)) Pure.
import type { Unit } from './unit-file.ts';

/** The folders are arguments up to `--`; everything behind it is the command. systemd leaves /dev, /proc and /sys as they are, too. */
const readOnly = `while [ "$1" != -- ]; do mount --bind "$1" "$1"; writable="$writable $1"; shift; done; shift
while read -r _ _ _ _ at _; do
  case $at in /proc*|/sys*|/dev*|/tmp*|/run/netns*) continue;; esac
  case " $writable " in *" $at "*) continue;; esac
  mount -o remount,bind,ro "$at" 2>/dev/null
done < /proc/self/mountinfo
exec "$@"`;

/** What comes before the words of ExecStart=; nothing for a unit that is not confined. */
export function confinement(unit: Unit): string[] {
  const rights =
    unit.all('CapabilityBoundingSet').length === 0
      ? []
      : ['setpriv', `--bounding-set=${['-all', ...unit.names('CapabilityBoundingSet').map(setprivName)].join(',')}`];
  const alone = unit.last('NoNewPrivileges') === 'yes' ? ['--no-new-privs'] : [];
  const setpriv = rights.length === 0 && alone.length > 0 ? ['setpriv', ...alone] : [...rights, ...alone];
  if (unit.last('ProtectSystem') !== 'strict') return setpriv;
  const writable = [
    ...unit.names('RuntimeDirectory').map((name) => `/run/${name}`),
    ...unit.names('StateDirectory').map((name) => `/var/lib/${name}`),
    ...unit.names('ReadWritePaths'),
  ];
  const namespace = ['unshare', '--mount', '--propagation', 'slave'];
  return [...namespace, 'sh', '-c', readOnly, 'sh', ...writable, '--', ...setpriv];
}

const setprivName = (capability: string): string => `+${capability.replace(/^CAP_/, '').toLowerCase()}`;
