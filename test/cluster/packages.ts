// Debian packages that nodes need, installed where they are missing, and only then.
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
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

/** A program of a Debian package that is unpacked into `folder` and not installed: no service of it is started. */
export async function unpackedProgram(debianPackage: string, program: string, folder: string): Promise<string> {
  const file = path.join(folder, debianPackage, program);
  if (existsSync(file)) return file;
  const download = path.join(folder, `${debianPackage}.download`);
  mkdirSync(download, { recursive: true });
  // As root apt drops its rights for the download, and then may not write here.
  const argv = ['apt-get', 'download', '-q', '-o', 'APT::Sandbox::User=root', debianPackage];
  if (!(await succeeds(argv, { cwd: download, timeoutMs: 300_000 }))) {
    await run(['apt-get', 'update', '-q'], { timeoutMs: 300_000 });
    await run(argv, { cwd: download, timeoutMs: 300_000 });
  }
  const [archive = ''] = readdirSync(download).filter((name) => name.endsWith('.deb'));
  await run(['dpkg-deb', '-x', path.join(download, archive), path.join(folder, debianPackage)], { timeoutMs: 120_000 });
  rmSync(download, { recursive: true, force: true });
  return file;
}
