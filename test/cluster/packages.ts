// Debian packages that nodes need, installed where they are missing, and only then.
import { existsSync } from 'node:fs';
import { run, succeeds } from './commands.ts';
import { HarnessError } from './errors.ts';

/** Package, and a file that shows that it is there whatever brought it. */
const needed: readonly (readonly [debianPackage: string, files: readonly string[]])[] = [
  ['containerd', ['/usr/bin/containerd', '/usr/local/bin/containerd']],
  ['runc', ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc']],
  ['containernetworking-plugins', ['/usr/lib/cni/bridge', '/opt/cni/bin/bridge']],
  ['busybox-static', ['/bin/busybox']],
  ['iptables', ['/usr/sbin/iptables']],
  ['nftables', ['/usr/sbin/nft']],
  ['conntrack', ['/usr/sbin/conntrack']],
  ['ethtool', ['/usr/sbin/ethtool']],
  ['iproute2', ['/usr/sbin/ip', '/sbin/ip']],
  ['faketime', ['/usr/bin/faketime']],
  ['openssl', ['/usr/bin/openssl']],
  ['e2fsprogs', ['/usr/sbin/mkfs.ext4', '/sbin/mkfs.ext4']],
  ['procps', ['/usr/bin/pgrep']],
  ['util-linux', ['/usr/bin/nsenter']],
];

/** The kubelet refuses to start without these; nodes find the network plugins here. */
export function cniFolder(): string {
  return existsSync('/usr/lib/cni/bridge') ? '/usr/lib/cni' : '/opt/cni/bin';
}

/** Installs what is missing, telling `say`. Needs root and apt-get only if something is missing. */
export async function installPackages(say: (line: string) => void): Promise<void> {
  const missing = needed.filter(([, files]) => !files.some((file) => existsSync(file))).map(([name]) => name);
  if (missing.length === 0) return;
  if (!existsSync('/usr/bin/apt-get')) {
    throw new HarnessError(
      'COMMAND_FAILED',
      `install these packages, or what holds the same programs: ${missing.join(' ')}`,
    );
  }
  say(`installing Debian packages: ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['apt-get', 'install', '-y', '-q', '--no-install-recommends', ...missing];
  if (!(await succeeds([...install, '--simulate']))) {
    say('apt-get update, because the package lists are missing or old');
    await run(['apt-get', 'update', '-q'], { env, timeoutMs: 300_000 });
  }
  await run(install, { env, timeoutMs: 600_000 });
}
