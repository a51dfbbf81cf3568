import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { writeTar } from './tar.ts';

it('writes what tar reads: files with modes, folders, links, content of any length', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-tar-'));
  try {
    const content = Buffer.alloc(1025, 'x');
    const long = 'y'.repeat(90);
    const archive = writeTar([
      { path: 'sub', folder: true, mode: 0o750 },
      { path: 'sub/file', content, mode: 0o600 },
      { path: 'sub/empty', content: Buffer.alloc(0) },
      { path: 'link', linkTo: 'sub/file' },
      { path: `${long}/${long}`, content },
    ]);
    execFileSync('tar', ['-x', '-C', folder], { input: archive });
    expect(readFileSync(path.join(folder, 'sub/file'))).toEqual(content);
    expect(statSync(path.join(folder, 'sub/file')).mode & 0o777).toBe(0o600);
    expect(statSync(path.join(folder, 'sub')).mode & 0o777).toBe(0o750);
    expect(statSync(path.join(folder, 'sub/empty')).size).toBe(0);
    expect(readlinkSync(path.join(folder, 'link'))).toBe('sub/file');
    expect(readFileSync(path.join(folder, long, long))).toEqual(content);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it('is the same bytes for the same content', () => {
  const entries = [{ path: 'a', content: Buffer.from('1') }];
  expect(writeTar(entries)).toEqual(writeTar(entries));
});

it('refuses a path that the format cannot hold', () => {
  expect(() => writeTar([{ path: 'x'.repeat(100), content: Buffer.alloc(0) }])).toThrow(TypeError);
});
