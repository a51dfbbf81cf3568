// The image of a release: a small Debian base, and on it the archive as it is, in /opt/holdfast. It runs the controllers and the
// tunnel server; a node gets its own copy of the archive from it.
import { gzipSync } from 'node:zlib';
import { archiveEntries, type ArchiveFile, type Release } from './archive.ts';
import { imageUser, type Base } from './base-layer.ts';
import { makeImage, type Image, type Layer } from './oci-image.ts';
import { writeTar, type TarEntry } from './tar.ts';

const folder = 'opt/holdfast';

/** No registry has it, and nobody can offer one of that name: it has to be imported, or tagged anew and pushed. */
export const imageName = ({ version }: Pick<Release, 'version'>): string => `localhost/holdfast:${version}`;

export const imageFile = ({ version, architecture }: Release): string =>
  `holdfast-${version}-image-linux-${architecture}.tar`;

export function holdfastImage(release: Release, files: readonly ArchiveFile[], base: Base): Image {
  return makeImage(
    {
      name: imageName(release),
      architecture: release.architecture === 'x64' ? 'amd64' : 'arm64',
      config: {
        User: `${imageUser}:${imageUser}`,
        Entrypoint: [`/${folder}/lib/node`, `/${folder}/lib/holdfast.mjs`],
        Cmd: ['--help'],
        Env: ['PATH=/none', 'MALLOC_ARENA_MAX=1'],
        WorkingDir: '/',
        Labels: {
          'org.opencontainers.image.title': 'holdfast',
          'org.opencontainers.image.version': release.version,
          'org.opencontainers.image.licenses': 'Apache-2.0',
          // Beside what is in /opt/holdfast/sbom.cdx.json.
          'dev.holdfast.debian-packages': base.packages.join(', '),
        },
      },
    },
    [layer(base.entries), layer(archiveEntries(release, files, folder))],
  );
}

function layer(entries: readonly TarEntry[]): Layer {
  const tar = writeTar(entries);
  return { tar, gzip: gzipSync(tar, { level: 6 }) };
}
