// Container images without a daemon or a registry: from layers to the archive that `ctr images import`, `podman load` and `docker load`
// take (OCI image layout 1.0, with docker's manifest.json beside it). Pure: the same layers give the same bytes.
import { createHash } from 'node:crypto';
import { writeTar, type TarEntry } from './tar.ts';

export interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly content: Buffer;
}

/** One image in parts, as a registry serves it. */
export interface Image {
  /** With its tag. */
  readonly name: string;
  readonly manifest: Blob;
  readonly config: Blob;
  readonly layers: readonly Blob[];
}

export interface Layer {
  /** Uncompressed. */
  readonly tar: Buffer;
  /** What is stored, if not the tar itself. */
  readonly gzip?: Buffer;
}

export interface ImageSettings {
  readonly name: string;
  /** As OCI names it: amd64, arm64. */
  readonly architecture: string;
  /** The `config` of the image configuration: Entrypoint, Cmd, Env, User, Labels. */
  readonly config: Readonly<Record<string, unknown>>;
}

export function makeImage({ name, architecture, config: inner }: ImageSettings, layers: readonly Layer[]): Image {
  const blobs = layers.map(({ tar, gzip }) =>
    gzip === undefined
      ? blob('application/vnd.oci.image.layer.v1.tar', tar)
      : blob('application/vnd.oci.image.layer.v1.tar+gzip', gzip),
  );
  const config = jsonBlob('application/vnd.oci.image.config.v1+json', {
    architecture,
    os: 'linux',
    config: inner,
    rootfs: { type: 'layers', diff_ids: layers.map(({ tar }) => digestOf(tar)) },
  });
  const manifest = jsonBlob('application/vnd.oci.image.manifest.v1+json', {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor(config),
    layers: blobs.map(descriptor),
  });
  return { name, manifest, config, layers: blobs };
}

/** The image as one file, uncompressed. */
export function imageArchive({ name, manifest, config, layers }: Image): Buffer {
  const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name };
  const index = { schemaVersion: 2, manifests: [{ ...descriptor(manifest), annotations }] };
  const forDocker = [{ Config: blobPath(config), RepoTags: [name], Layers: layers.map(blobPath) }];
  const json = (path: string, value: unknown): TarEntry => ({ path, content: Buffer.from(JSON.stringify(value)) });
  return writeTar([
    json('oci-layout', { imageLayoutVersion: '1.0.0' }),
    json('index.json', index),
    json('manifest.json', forDocker),
    { path: 'blobs', folder: true, mode: 0o755 },
    { path: 'blobs/sha256', folder: true, mode: 0o755 },
    ...[manifest, config, ...layers].map((item) => ({ path: blobPath(item), content: item.content })),
  ]);
}

const blobPath = ({ digest }: Blob): string => `blobs/sha256/${digest.slice('sha256:'.length)}`;

function descriptor({ mediaType, digest, content }: Blob): { mediaType: string; digest: string; size: number } {
  return { mediaType, digest, size: content.length };
}

function jsonBlob(mediaType: string, value: unknown): Blob {
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

function blob(mediaType: string, content: Buffer): Blob {
  return { mediaType, digest: digestOf(content), content };
}

function digestOf(content: Buffer): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`;
}
