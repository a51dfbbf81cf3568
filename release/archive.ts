// The archive of a release: everything below one folder, with a manifest of digests, by which an installation is checked
// and a second one with the same content is recognised. Pure: from contents to bytes.
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { writeTar, type TarEntry } from './tar.ts';

export type Architecture = 'x64' | 'arm64';

/** What is in the archive, by its path in the archive's folder. */
export type ArchiveFile =
  | { readonly path: string; readonly content: Buffer; readonly executable?: boolean }
  | { readonly path: string; readonly linkTo: string };

export interface Release {
  readonly version: string;
  readonly architecture: Architecture;
  /** The form of the hub's store that this version writes, and up to which it reads one. */
  readonly storeFormat: number;
}

/** manifest.json in the archive's folder. `dropin/` reads it on the node. */
export interface Manifest extends Release {
  readonly name: 'holdfast';
  /** Hexadecimal SHA-256 of each file, by path, in order of paths; the manifest itself is not in it. */
  readonly files: Readonly<Record<string, string>>;
}

export const archiveName = ({ version, architecture }: Pick<Release, 'version' | 'architecture'>): string =>
  `holdfast-${version}-linux-${architecture}`;

/** Uncompressed tar. */
export function archiveTar(release: Release, files: readonly ArchiveFile[]): Buffer {
  return writeTar(archiveEntries(release, files, archiveName(release)));
}

/** The archive's content below `top`, with its manifest. */
export function archiveEntries(release: Release, files: readonly ArchiveFile[], top: string): TarEntry[] {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const manifest: Manifest = {
    name: 'holdfast',
    version: release.version,
    architecture: release.architecture,
    storeFormat: release.storeFormat,
    files: Object.fromEntries(sorted.flatMap((file) => ('content' in file ? [[file.path, sha256(file.content)]] : []))),
  };
  const all: ArchiveFile[] = [
    { path: 'manifest.json', content: Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`) },
    ...sorted,
  ];
  return [
    ...foldersOf(all).map((folder): TarEntry => ({ path: `${top}/${folder}`, folder: true, mode: 0o755 })),
    ...all.map((file): TarEntry => {
      const path = `${top}/${file.path}`;
      if ('linkTo' in file) return { path, linkTo: file.linkTo };
      return { path, content: file.content, mode: file.executable === true ? 0o755 : 0o644 };
    }),
  ];
}

/** gzip, which every Debian unpacks; more than level 6 costs three times the time for less than 1% of the size. */
export function compress(tar: Buffer): Buffer {
  return gzipSync(tar, { level: 6 });
}

export function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex');
}

/** '' is the archive's own folder. Parents come before what is in them. */
function foldersOf(files: readonly ArchiveFile[]): string[] {
  const folders = new Set(['']);
  for (const { path } of files) {
    const parts = path.split('/').slice(0, -1);
    parts.forEach((_, index) => folders.add(parts.slice(0, index + 1).join('/')));
  }
  return [...folders].sort();
}
