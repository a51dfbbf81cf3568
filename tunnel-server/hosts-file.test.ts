import { linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nullLog } from '../runtime/log.ts';
import { HostsFile, withBlock } from './hosts-file.ts';

const plain = '127.0.0.1 localhost\n10.0.0.1 cloud1 edge9 # mine\n';
const block = (lines: string): string =>
  `# BEGIN holdfast tunnel-server: managed, do not edit\n${lines}\n# END holdfast tunnel-server\n`;

test('the block is put in, replaced and taken out, and every other line stays', () => {
  const first = withBlock(plain, [
    { address: '192.168.1.10', names: ['edge1'] },
    { address: undefined, names: ['edge2'] },
  ]);
  expect(first).toBe(`${plain}${block('192.168.1.10\tedge1\n192.0.2.1\tedge2')}`);
  const grown = `${first}10.0.0.2 later\n`;
  expect(withBlock(grown, [{ address: '1.2.3.4', names: ['edge3'] }])).toBe(
    `${plain}10.0.0.2 later\n${block('1.2.3.4\tedge3')}`,
  );
  expect(withBlock(first, [])).toBe(plain);
  expect(withBlock('', [])).toBe('');
});

test('names that somebody else has put there, or that are no names, are left out', () => {
  const entries = [{ address: '1.1.1.1', names: ['edge9', 'localhost', 'edge1 evil', 'edge1\n6.6.6.6 api', 'EDGE'] }];
  expect(withBlock(plain, entries)).toBe(plain);
});

test('the file is written in place, since it may be mounted into pods', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-hosts-'));
  try {
    const file = path.join(folder, 'hosts');
    writeFileSync(file, plain);
    linkSync(file, path.join(folder, 'mounted'));
    const hosts = new HostsFile({ log: nullLog }, file);
    void hosts.set([{ address: '1.1.1.1', names: ['edge1'] }]);
    void hosts.set([{ address: '1.1.1.1', names: ['edge1', 'edge2'] }]);
    await hosts.set([{ address: '1.1.1.2', names: ['edge1'] }]);
    expect(readFileSync(path.join(folder, 'mounted'), 'utf8')).toBe(`${plain}${block('1.1.1.2\tedge1')}`);
    await hosts.remove();
    expect(readFileSync(path.join(folder, 'mounted'), 'utf8')).toBe(plain);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
