// What the image needs besides the archive: the C library that Node.js is linked against, from a Debian 12 root, an account, and
// chroot, by which `holdfast convert --node` gets from its pod onto the host. No shell, no package manager.
import { existsSync, readFileSync, readdirSync, realpathSync } from 'node:fs';
import path from 'node:path';
import type { Architecture } from './archive.ts';
import type { TarEntry } from './tar.ts';

/** Of the account `holdfast`; the pods of config/ name it too. */
export const imageUser = 65_532;

const triplets: Readonly<Record<Architecture, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };
const loaders: Readonly<Record<Architecture, string>> = {
  x64: 'lib64/ld-linux-x86-64.so.2',
  arm64: 'lib/ld-linux-aarch64.so.1',
};
/** By the packages that they are in. Since glibc 2.34 names are resolved without further libraries. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  libc6: ['libc.so.6', 'libm.so.6', 'libdl.so.2', 'libpthread.so.0', 'librt.so.1'],
  'libgcc-s1': ['libgcc_s.so.1'],
  'libstdc++6': ['libstdc++.so.6'],
};
const chroot = 'usr/sbin/chroot';

export interface Base {
  readonly entries: readonly TarEntry[];
  /** Debian packages, NAME VERSION. */
  readonly packages: readonly string[];
}

/** `root`: / on a Debian 12 of that architecture, or a folder that holds one. Throws TypeError when it is none. */
export function baseLayer(architecture: Architecture, root: string): Base {
  const names = [...Object.keys(libraries), 'coreutils'];
  const versions = installed(root, architecture);
  const packages = names.map((name) => {
    const version = versions.get(name);
    if (version === undefined)
      throw new TypeError(`${root} is no Debian for ${architecture}: dpkg knows no package ${name} there`);
    return `${name} ${version}`;
  });
  const read = (file: string): Buffer => readFileSync(realpathSync(path.join(root, file)));
  const triplet = triplets[architecture];
  const loader = loaders[architecture];
  const folders = [
    'etc',
    'lib',
    `lib/${triplet}`,
    'lib64',
    'opt',
    'proc',
    'run',
    'sys',
    'dev',
    'var',
    'usr',
    'usr/sbin',
  ];
  const documented = names.filter((name) => existsSync(path.join(root, `usr/share/doc/${name}/copyright`)));
  return {
    packages,
    entries: [
      ...folders.map((folder): TarEntry => ({ path: folder, folder: true, mode: 0o755 })),
      { path: 'tmp', folder: true, mode: 0o1777 },
      text('etc/passwd', `root:x:0:0:root:/:/none\nholdfast:x:${imageUser}:${imageUser}:holdfast:/:/none\n`),
      text('etc/group', `root:x:0:\nholdfast:x:${imageUser}:\n`),
      text('etc/nsswitch.conf', 'hosts: files dns\n'),
      ...Object.values(libraries)
        .flat()
        .map((name): TarEntry => ({
          path: `lib/${triplet}/${name}`,
          content: read(`lib/${triplet}/${name}`),
          mode: 0o755,
        })),
      { path: loader, content: read(loader), mode: 0o755 },
      { path: chroot, content: read(chroot), mode: 0o755 },
      ...['usr/share', 'usr/share/doc', ...documented.map((name) => `usr/share/doc/${name}`)].map(
        (folder): TarEntry => ({ path: folder, folder: true, mode: 0o755 }),
      ),
      ...documented.map((name): TarEntry => ({
        path: `usr/share/doc/${name}/copyright`,
        content: read(`usr/share/doc/${name}/copyright`),
      })),
    ],
  };
}

const text = (file: string, content: string): TarEntry => ({ path: file, content: Buffer.from(content) });

/** Versions by package, as dpkg's own files say. */
function installed(root: string, architecture: Architecture): Map<string, string> {
  const wanted = architecture === 'x64' ? 'amd64' : 'arm64';
  const admin = path.join(root, 'var/lib/dpkg');
  const files = existsSync(path.join(admin, 'status')) ? [path.join(admin, 'status')] : [];
  // Images without a package manager keep a file for each package.
  if (existsSync(`${admin}/status.d`))
    files.push(...readdirSync(`${admin}/status.d`).map((name) => `${admin}/status.d/${name}`));
  const versions = new Map<string, string>();
  for (const paragraph of files.flatMap((file) => readFileSync(file, 'utf8').split('\n\n'))) {
    const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(paragraph)?.[1] ?? '';
    if (field('Architecture') === wanted) versions.set(field('Package'), field('Version'));
  }
  return versions;
}
