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

/** A new machine updates itself at first, and a mirror may be busy. */
const apt = ['apt-get', '-o', 'DPkg::Lock::Timeout=600', '-o', 'Acquire::Retries=5'];
const patience = { env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 1_200_000 };

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
  const install = [...apt, 'install', '-y', '-q', '--no-install-recommends', ...missing];
  // Lists that are old may still name a version that the mirror no longer has.
  if ((await succeeds([...install, '--simulate'])) && (await succeeds(install, patience))) return;
  say('apt-get update, because the package lists are missing or old');
  await updateLists();
  await run(install, patience);
}

/** The lock of the lists is one for which apt-get does not wait. */
async function updateLists(): Promise<void> {
  const update = [...apt, 'update', '-q'];
  for (let attempt = 1; attempt < 10; attempt += 1) {
    if (await succeeds(update, patience)) return;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
  }
  await run(update, patience);
}

/** A program of a Debian package that is unpacked into `folder` and not installed: no service of it is started. */
export async function unpackedProgram(debianPackage: string, program: string, folder: string): Promise<string> {
  const file = path.join(folder, debianPackage, program);
  if (existsSync(file)) return file;
  const download = path.join(folder, `${debianPackage}.download`);
  mkdirSync(download, { recursive: true });
  // As root apt drops its rights for the download, and then may not write here.
  const argv = [...apt, 'download', '-q', '-o', 'APT::Sandbox::User=root', debianPackage];
  if (!(await succeeds(argv, { ...patience, cwd: download }))) {
    await updateLists();
    await run(argv, { ...patience, cwd: download });
  }
  const [archive = ''] = readdirSync(download).filter((name) => name.endsWith('.deb'));
  await run(['dpkg-deb', '-x', path.join(download, archive), path.join(folder, debianPackage)], { timeoutMs: 120_000 });
  rmSync(download, { recursive: true, force: true });
  return file;
}
