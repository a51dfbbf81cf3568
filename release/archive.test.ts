// The archive as a user gets it: unpacked by tar, run by a shell.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { archiveName, archiveTar, compress, sha256, type Manifest } from './archive.ts';
import { archiveFiles } from './contents.ts';
import { LockFile } from './lock-file.ts';

const root = path.join(__dirname, '..');
const release = { version: '1.2.3', architecture: 'x64', storeFormat: 1 } as const;
const lock = new LockFile(readFileSync(path.join(root, 'package-lock.json'), 'utf8'));
const outside = lock.closure('classic-level', ['napi-macros']);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'holdfast-release-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

/** Instead of Node.js a program that says how it was called. */
function fakeNodePackage(name: string, changedAt: number): string {
  const file = path.join(folder, name, 'bin', 'node');
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, '#!/bin/sh\necho "$@"\n');
  chmodSync(file, 0o755);
  utimesSync(file, changedAt, changedAt);
  return path.join(folder, name);
}

function build(nodePackage: string): Buffer {
  const program = [{ name: 'holdfast.mjs', content: Buffer.from('// program') }];
  const sources = { root, program, nodePackage, outside, packages: outside, sbom: '{}' };
  return compress(archiveTar(release, archiveFiles('x64', sources)));
}

test('the same contents give the same bytes, whatever their times and folders', () => {
  expect(build(fakeNodePackage('a', 1_000_000))).toEqual(build(fakeNodePackage('b', 2_000_000)));
});

test('the launcher runs the program with the Node.js of the archive, also through a link from elsewhere', () => {
  execFileSync('tar', ['-xz', '-C', folder], { input: build(fakeNodePackage('node', 1)) });
  const top = path.join(folder, archiveName(release));
  const link = path.join(folder, 'holdfast');
  symlinkSync(path.join(top, 'bin', 'kubectl-holdfast'), link);
  const said = execFileSync(link, ['status', 'two words'], { encoding: 'utf8', env: { PATH: '/usr/bin:/bin' } });
  expect(said).toBe(`${top}/lib/holdfast.mjs status two words\n`);
});

test('the manifest names every file with its digest, and the archive holds no binary for elsewhere', () => {
  execFileSync('tar', ['-xz', '-C', folder], { input: build(fakeNodePackage('node', 1)) });
  const top = path.join(folder, archiveName(release));
  const manifest = JSON.parse(readFileSync(path.join(top, 'manifest.json'), 'utf8')) as Manifest;
  expect(manifest).toMatchObject({ name: 'holdfast', ...release });
  for (const [file, digest] of Object.entries(manifest.files))
    expect([file, sha256(readFileSync(path.join(top, file)))]).toEqual([file, digest]);
  const natives = Object.keys(manifest.files).filter((file) => file.endsWith('.node'));
  expect(natives).toEqual(['lib/node_modules/classic-level/prebuilds/linux-x64/classic-level.node']);
  const regular = execFileSync('find', [top, '-type', 'f'], { encoding: 'utf8' }).trim().split('\n');
  expect(regular).toHaveLength(Object.keys(manifest.files).length + 1);
});

test('each package has its licence', () => {
  const files = archiveFiles('x64', {
    root,
    program: [],
    nodePackage: fakeNodePackage('node', 1),
    outside,
    packages: outside,
    sbom: '',
  });
  for (const { name } of outside) {
    const licence = files.find((file) => file.path === `licences/${name}.txt`);
    expect([name, licence && 'content' in licence && licence.content.length > 50]).toEqual([name, true]);
  }
});
