import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { baseLayer } from './base-layer.ts';
import { holdfastImage, imageName } from './holdfast-image.ts';
import { imageArchive } from './oci-image.ts';

const release = { version: '1.2.3', architecture: 'arm64', storeFormat: 1 } as const;
const libraries = [
  'libc.so.6',
  'libm.so.6',
  'libdl.so.2',
  'libpthread.so.0',
  'librt.so.1',
  'libgcc_s.so.1',
  'libstdc++.so.6',
];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-image-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A root with what a Debian has, as far as it is read. */
function debian(): string {
  const put = (file: string, content: string): void => {
    mkdirSync(path.dirname(path.join(folder, 'root', file)), { recursive: true });
    writeFileSync(path.join(folder, 'root', file), content);
  };
  for (const name of libraries) put(`lib/aarch64-linux-gnu/${name}`, `library ${name}`);
  put('lib/ld-linux-aarch64.so.1', 'loader');
  put('usr/sbin/chroot', 'chroot');
  const paragraph = (name: string): string =>
    `Package: ${name}\nStatus: install ok installed\nArchitecture: arm64\nVersion: 12-1\n`;
  put('var/lib/dpkg/status', ['libc6', 'libgcc-s1', 'libstdc++6', 'coreutils'].map(paragraph).join('\n'));
  return path.join(folder, 'root');
}

function unpack(): string {
  const image = holdfastImage(
    release,
    [{ path: 'lib/node', content: Buffer.from('node'), executable: true }],
    baseLayer('arm64', debian()),
  );
  const target = path.join(folder, 'image');
  mkdirSync(target);
  execFileSync('tar', ['-x', '-C', target], { input: imageArchive(image) });
  return target;
}

interface Descriptor {
  readonly digest: string;
  readonly size: number;
}

it('is an OCI layout whose digests hold, and which docker finds its way in', () => {
  const target = unpack();
  const json = (file: string): unknown => JSON.parse(readFileSync(path.join(target, file), 'utf8'));
  const blob = ({ digest, size }: Descriptor): Buffer => {
    const content = readFileSync(path.join(target, 'blobs/sha256', digest.replace('sha256:', '')));
    expect(createHash('sha256').update(content).digest('hex')).toBe(digest.replace('sha256:', ''));
    expect(content.length).toBe(size);
    return content;
  };
  const index = json('index.json') as { manifests: [Descriptor & { annotations: Record<string, string> }] };
  expect(index.manifests[0].annotations['io.containerd.image.name']).toBe('localhost/holdfast:1.2.3');
  const manifest = JSON.parse(blob(index.manifests[0]).toString()) as { config: Descriptor; layers: Descriptor[] };
  const config = JSON.parse(blob(manifest.config).toString()) as {
    architecture: string;
    config: { User: string; Entrypoint: string[] };
    rootfs: { diff_ids: string[] };
  };
  expect(config).toMatchObject({
    architecture: 'arm64',
    config: { User: '65532:65532', Entrypoint: ['/opt/holdfast/lib/node', '/opt/holdfast/lib/holdfast.mjs'] },
  });
  const tars = manifest.layers.map((layer) => gunzipSync(blob(layer)));
  expect(tars.map((tar) => `sha256:${createHash('sha256').update(tar).digest('hex')}`)).toEqual(config.rootfs.diff_ids);
  const names = tars.map((tar) => execFileSync('tar', ['-t'], { input: tar }).toString().split('\n'));
  expect(names[0]).toEqual(
    expect.arrayContaining(['etc/passwd', 'lib/aarch64-linux-gnu/libstdc++.so.6', 'tmp', 'usr/sbin/chroot']),
  );
  expect(names[1]).toEqual(expect.arrayContaining(['opt/holdfast/lib/node', 'opt/holdfast/manifest.json']));
  expect(json('manifest.json')).toEqual([
    {
      Config: `blobs/${manifest.config.digest.replace(':', '/')}`,
      RepoTags: [imageName(release)],
      Layers: manifest.layers.map(({ digest }) => `blobs/${digest.replace(':', '/')}`),
    },
  ]);
});

it('is not made of something that is no Debian of that architecture', () => {
  debian();
  expect(() => baseLayer('x64', path.join(folder, 'root'))).toThrow('dpkg knows no package libc6');
});
