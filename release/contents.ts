// What is in a release, and where it comes from in a checkout.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import type { Architecture, ArchiveFile } from './archive.ts';
import type { LockedPackage } from './lock-file.ts';

/** In the archive; the launcher, the units and `dropin/` know these places. */
const launcher = `#!/bin/sh
# Runs Holdfast with the Node.js that came with it, from wherever this folder lies.
here=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")/.." && pwd)
exec "$here/lib/node" "$here/lib/holdfast.mjs" "$@"
`;

/** Names of files in the package classic-level; Debian's C library is not musl. */
const nativeParts: Readonly<Record<Architecture, string>> = {
  x64: 'prebuilds/linux-x64/classic-level.node',
  arm64: 'prebuilds/linux-arm64/classic-level.armv8.node',
};

export interface Sources {
  /** The checkout. */
  readonly root: string;
  /** The bundles, by the names by which they find each other. */
  readonly program: readonly { readonly name: string; readonly content: Buffer }[];
  /** The folder of the package node-linux-ARCHITECTURE. */
  readonly nodePackage: string;
  /** Packages beside the bundle, each in node_modules of the checkout. */
  readonly outside: readonly LockedPackage[];
  /** Everything from elsewhere: what is in the bundle, what is beside it, and Node.js. */
  readonly packages: readonly LockedPackage[];
  readonly sbom: string;
}

/** Everything in the archive but its manifest. Throws what the file system throws, and TypeError for a package without licence. */
export function archiveFiles(architecture: Architecture, sources: Sources): ArchiveFile[] {
  const { root, program, nodePackage, outside, packages, sbom } = sources;
  const copy = (from: string, to: string, executable = false): ArchiveFile => ({
    path: to,
    content: readFileSync(path.join(root, from)),
    executable,
  });
  return [
    { path: 'bin/holdfast', content: Buffer.from(launcher), executable: true },
    // What kubectl looks for when somebody types `kubectl holdfast`.
    { path: 'bin/kubectl-holdfast', linkTo: 'holdfast' },
    ...program.map(({ name, content }) => ({ path: `lib/${name}`, content })),
    { path: 'lib/node', content: readFileSync(path.join(nodePackage, 'bin', 'node')), executable: true },
    copy('config/node/supervise.sh', 'lib/supervise.sh', true),
    ...outside.flatMap(({ name }) => packageFiles(root, name, architecture)),
    copy('config/node/holdfast-node.service', 'systemd/holdfast-node.service'),
    copy('config/tunnel/holdfast-tunnel-agent.service', 'systemd/holdfast-tunnel-agent.service'),
    copy('config/tunnel/holdfast-tunnel-server.service', 'systemd/holdfast-tunnel-server.service'),
    copy('config/controllers/holdfast-controllers.service', 'systemd/holdfast-controllers.service'),
    ...manifests(root).map((file) => copy(file, file)),
    copy('LICENSE', 'LICENSE'),
    ...packages.map((item): ArchiveFile => {
      const folder = item.name.startsWith('node-linux-') ? nodePackage : path.join(root, 'node_modules', item.name);
      return { path: `licences/${item.name.replace('/', '+')}.txt`, content: licence(folder, item) };
    }),
    { path: 'sbom.cdx.json', content: Buffer.from(sbom) },
  ];
}

/** What a package needs to run: no tests, no sources of the native part, no binaries for elsewhere. */
function packageFiles(root: string, name: string, architecture: Architecture): ArchiveFile[] {
  const folder = path.join(root, 'node_modules', name);
  const native = name === 'classic-level' ? [nativeParts[architecture]] : [];
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    (file) => (file.endsWith('.js') && !/^(test|deps|node_modules)\//.test(file)) || file === 'package.json',
  );
  return [...files, ...native].map((file) => ({
    path: `lib/node_modules/${name}/${file}`,
    content: readFileSync(path.join(folder, file)),
  }));
}

/** Everything below config/ that is applied to a cluster or copied to a host, and the READMEs that say how. */
function manifests(root: string): string[] {
  return readdirSync(path.join(root, 'config'), { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(yaml|md)$/.test(file))
    .map((file) => `config/${file}`)
    .sort();
}

function licence(folder: string, { name, license }: LockedPackage): Buffer {
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|$)/i.test(entry));
  if (file !== undefined) return readFileSync(path.join(folder, file));
  const statement = path.join(folder, 'package.json');
  // Some packages state their licence in package.json alone.
  if (existsSync(statement)) return Buffer.from(`${name} is under ${license}, as its package.json states.\n`);
  throw new TypeError(`${folder} is not there: npm ci`);
}
