// Container images without a registry: one layer around the static busybox, as OCI archives that `ctr images import`
// reads (OCI image layout 1.0). Layers are not compressed, so that unpacking costs nothing but the copy.
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
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

/** One image in parts, as a registry serves it. */
export interface Image {
  name: string;
  manifest: Blob;
  /** Configuration and layer. */
  blobs: readonly Blob[];
}

export interface Blob {
  mediaType: string;
  digest: string;
  content: Buffer;
}

export function buildImage(spec: ImageSpec): Image {
  const layer = blob('application/vnd.oci.image.layer.v1.tar', writeTar(layerEntries(spec)));
  const config = jsonBlob('application/vnd.oci.image.config.v1+json', {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {
      ...(spec.entrypoint === undefined ? {} : { Entrypoint: spec.entrypoint }),
      Cmd: spec.command,
      Env: ['PATH=/bin:/usr/bin:/usr/local/bin'],
    },
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
  });
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor(config),
    layers: [descriptor(layer)],
  });
  return { name: spec.name, manifest, blobs: [config, layer] };
}

/** Writes the archive of one image into `folder` and returns its file. */
export function writeImage(spec: ImageSpec, folder: string): string {
  const image = buildImage(spec);
  const annotations = { 'io.containerd.image.name': spec.name, 'org.opencontainers.image.ref.name': spec.name };
  const index = { schemaVersion: 2, manifests: [{ ...descriptor(image.manifest), annotations }] };
  const entries: TarEntry[] = [
    { path: 'oci-layout', content: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { path: 'index.json', content: Buffer.from(JSON.stringify(index)) },
    ...[image.manifest, ...image.blobs].map(({ digest, content }) => ({
      path: `blobs/sha256/${digest.slice('sha256:'.length)}`,
      content,
    })),
  ];
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, `${spec.name.replaceAll(/[/:]/g, '_')}.tar`);
  writeFileSync(file, writeTar(entries));
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

function descriptor({ mediaType, digest, content }: Blob): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size: content.length };
}

function jsonBlob(mediaType: string, value: unknown): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

function blob(mediaType: string, content: Buffer): Blob {
  return { mediaType, digest: `sha256:${createHash('sha256').update(content).digest('hex')}`, content };
}
