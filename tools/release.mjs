// npm run release: the self-contained archives, dist/release/holdfast-VERSION-linux-ARCHITECTURE.tar.gz, reproducible byte for byte.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { stringify as stringifyYaml } from 'yaml';
import { archiveName, archiveTar, compress, sha256 } from '../release/archive.ts';
import { baseLayer } from '../release/base-layer.ts';
import { chartFiles } from '../release/chart.ts';
import { archiveFiles } from '../release/contents.ts';
import { holdfastImage, imageFile, imageName } from '../release/holdfast-image.ts';
import { LockFile } from '../release/lock-file.ts';
import { imageArchive } from '../release/oci-image.ts';
import { sbomText } from '../release/sbom.ts';
import { writeTar } from '../release/tar.ts';
import { readManifests } from '../install/manifests.ts';
import { storeFormat } from '../yurthub/store/store-format.ts';
import { bundle, outside as outsidePackages } from './bundle.mjs';

const usage = `npm run release -- [--arch x64|arm64] [--version VERSION] [--out FOLDER] [--debian-root FOLDER]

Both architectures without --arch, the version of package.json without --version, into dist/release by default. Each archive holds all that a host needs: its own Node.js, the
program, systemd units, manifests, licences and a bill of materials. The same checkout gives the same bytes. Beside the archives: the
bill of materials, the Helm chart, and for the architecture of this machine the container image.

--debian-root: a Debian 12 from whose C library an image is made, with --arch its architecture. Without it this machine's own is
used; the same packages there give the same bytes.`;

const architectures = ['x64', 'arm64'];
const largestMegabytes = 60;
const stringify = (value) => stringifyYaml(value, { aliasDuplicateObjects: false, lineWidth: 0 });

const root = path.join(import.meta.dirname, '..');
const { values } = parseArgs({
  options: {
    arch: { type: 'string' },
    version: { type: 'string' },
    out: { type: 'string' },
    'debian-root': { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});
if (values.help || (values.arch !== undefined && !architectures.includes(values.arch))) {
  console.log(values.help ? usage : `not an architecture: ${values.arch}\n\n${usage}`);
  process.exit(values.help ? 0 : 2);
}
const out = path.resolve(values.out ?? path.join(root, 'dist', 'release'));
mkdirSync(out, { recursive: true });

const project = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
project.version = values.version ?? project.version;
const lock = new LockFile(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
const { files: programFiles, packages: inside } = await bundle(root, out, project.version);
const program = programFiles.map((name) => ({ name, content: readFileSync(path.join(out, name)) }));
for (const name of programFiles) rmSync(path.join(out, name));
// Headers for building the native part, which is built already.
const outside = outsidePackages.flatMap((name) => lock.closure(name, ['napi-macros']));

let tooLarge = false;
const sums = [];

/** Whole or not at all; says what it is. */
function write(name, bytes, note = '') {
  const file = path.join(out, name);
  writeFileSync(`${file}.new`, bytes);
  renameSync(`${file}.new`, file);
  sums.push(`${sha256(bytes)}  ${name}\n`);
  console.log(
    `${path.relative(process.cwd(), file)}  ${(bytes.length / 1e6).toFixed(1)} MB  sha256 ${sha256(bytes)}${note}`,
  );
}

for (const architecture of values.arch === undefined ? architectures : [values.arch]) {
  const node = lock.package(`node-linux-${architecture}`);
  const names = new Set([...inside, ...outside.map(({ name }) => name)]);
  const packages = [...[...names].sort().map((name) => lock.package(name)), node];
  const sbom = sbomText(project, packages);
  const files = archiveFiles(architecture, {
    root,
    program,
    nodePackage: nodePackage(node),
    outside,
    packages,
    sbom,
  });
  const release = { version: project.version, architecture, storeFormat };
  const name = archiveName(release);
  const bytes = compress(archiveTar(release, files));
  write(`${name}.tar.gz`, bytes);
  write(`${name}.cdx.json`, Buffer.from(sbom));
  tooLarge ||= bytes.length / 1e6 > largestMegabytes;
  const debian = values['debian-root'] ?? (architecture === process.arch ? '/' : undefined);
  if (debian === undefined) {
    console.log(`no image for ${architecture}: that needs --arch ${architecture} --debian-root FOLDER`);
    continue;
  }
  const image = holdfastImage(release, files, baseLayer(architecture, debian));
  write(imageFile(release), imageArchive(image), `  ${imageName(release)} ${image.manifest.digest}`);
}
const config = (file) => readFileSync(path.join(root, 'config', file), 'utf8');
const chart = chartFiles(readManifests(config), project.version, stringify);
write(
  `holdfast-chart-${project.version}.tgz`,
  compress(
    writeTar(chart.map(({ path: file, content }) => ({ path: `holdfast/${file}`, content: Buffer.from(content) }))),
  ),
);
writeFileSync(path.join(out, 'SHA256SUMS'), sums.join(''));
if (tooLarge) {
  console.error(`An archive is larger than ${largestMegabytes} MB.`);
  process.exitCode = 1;
}

/** The package's folder: as npm installed it, or, for the other architecture, as npm fetches it, checked against the lock file. */
function nodePackage({ name, version, integrity }) {
  const installed = path.join(root, 'node_modules', name);
  if (existsSync(path.join(installed, 'bin', 'node'))) return installed;
  const cache = path.join(process.env.HOLDFAST_CACHE ?? path.join(homedir(), '.cache', 'holdfast'), 'release');
  const folder = path.join(cache, `${name}-${version}`);
  if (existsSync(folder)) return path.join(folder, 'package');
  mkdirSync(cache, { recursive: true });
  const temporary = mkdtempSync(path.join(cache, 'fetching-'));
  try {
    console.log(`fetching ${name} ${version} …`);
    execFileSync('npm', ['pack', `${name}@${version}`, '--pack-destination', temporary, '--loglevel=error'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const archive = path.join(temporary, `${name}-${version}.tgz`);
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (found !== integrity) throw new Error(`${name} ${version} is not what package-lock.json names: ${found}`);
    execFileSync('tar', ['-xzf', archive, '-C', temporary]);
    rmSync(archive);
    renameSync(temporary, folder);
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return path.join(folder, 'package');
}
