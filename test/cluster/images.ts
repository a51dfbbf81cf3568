// Container images without a registry: one layer around the static busybox, as OCI archives that `ctr images import`
// reads (OCI image layout 1.0). Layers are not compressed, so that unpacking costs nothing but the copy.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { imageArchive, makeImage, type Image } from '../../release/oci-image.ts';
import { writeTar } from '../../release/tar.ts';
import type { TarEntry } from '../../release/tar.ts';

export interface ImageSpec {
  name: string;
  command: readonly string[];
  /** What a pod's `args` are given to; none by default. */
  entrypoint?: readonly string[];
  /** Files beside busybox: path in the image and its content. */
  files?: readonly { path: string; content: Buffer; mode?: number }[];
  links?: readonly { path: string; target: string }[];
}

/** What the cluster's own registry is called; nodes find it by their containerd configuration. */
export const registryName = 'holdfast.test';
export const pauseImage = 'registry.k8s.io/pause:3.10';

/** The images that every node has. `:latest` makes imagePullPolicy Always, `:1` IfNotPresent. */
export const nodeImages: readonly ImageSpec[] = [
  { name: pauseImage, command: ['/bin/sleep', '2147483647'] },
  { name: `${registryName}/busybox:1`, command: ['/bin/sh'] },
  { name: `${registryName}/busybox:latest`, command: ['/bin/sh'] },
];

const applets =
  'sh ash sleep cat ls echo wget httpd nc ps date dd head tail seq hostname sha256sum env nslookup ip ping top stty tty ' +
  'printf mkdir rm touch true false grep sed awk cut sort wc test expr id mount umount df stat chmod chown find xargs ' +
  'tr tee timeout kill uname which vi cp mv ln basename dirname md5sum tar traceroute netstat route ifconfig';

export function buildImage(spec: ImageSpec): Image {
  return makeImage(
    {
      name: spec.name,
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      config: {
        ...(spec.entrypoint === undefined ? {} : { Entrypoint: spec.entrypoint }),
        Cmd: spec.command,
        Env: ['PATH=/bin:/usr/bin:/usr/local/bin'],
      },
    },
    [{ tar: writeTar(layerEntries(spec)) }],
  );
}

/** Writes the archive of one image into `folder` and returns its file. */
export function writeImage(spec: ImageSpec, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${spec.name.replaceAll(/[/:]/g, '_')}.tar`);
  writeFileSync(file, imageArchive(buildImage(spec)));
  return file;
}

function layerEntries(spec: ImageSpec): TarEntry[] {
  const folders = [
    'bin',
    'usr',
    'usr/bin',
    'usr/local',
    'usr/local/bin',
    'etc',
    'proc',
    'sys',
    'dev',
    'var',
    'root',
    'home',
  ];
  return [
    ...folders.map((folder): TarEntry => ({ path: folder, folder: true, mode: 0o755 })),
    { path: 'tmp', folder: true, mode: 0o1777 },
    { path: 'etc/passwd', content: Buffer.from('root:x:0:0:root:/root:/bin/sh\n') },
    { path: 'etc/group', content: Buffer.from('root:x:0:\n') },
    { path: 'bin/busybox', content: readFileSync('/bin/busybox'), mode: 0o755 },
    ...applets.split(' ').map((applet): TarEntry => ({ path: `bin/${applet}`, linkTo: 'busybox' })),
    ...(spec.files ?? []).map((file): TarEntry => ({ ...file, path: file.path.replace(/^\//, '') })),
    ...(spec.links ?? []).map((link): TarEntry => ({ path: link.path.replace(/^\//, ''), linkTo: link.target })),
  ];
}
