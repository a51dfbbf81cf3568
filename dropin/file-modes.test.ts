import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { looseFiles } from './file-modes.ts';
import { NodeFiles } from './files.ts';

let root: string;
const owner = process.getuid?.() ?? 0;
const found = async (uid = owner): Promise<string[]> =>
  (await looseFiles(new NodeFiles(root, false), uid)).map(({ problem }) => problem);

beforeEach(() => {
  root = mkdtempSync(path.join(tmpdir(), 'holdfast-modes-'));
  put('/var/lib/holdfast/store.key', 0o600);
  put('/var/lib/holdfast/kubectl.kubeconfig', 0o600);
  put('/var/lib/holdfast/hub-ca.crt', 0o644);
  put('/etc/holdfast/node.yaml', 0o644);
  put('/opt/holdfast/current/lib/holdfast.mjs', 0o644);
  chmodSync(path.join(root, 'var/lib/holdfast'), 0o700);
});
afterEach(() => rmSync(root, { recursive: true }));

function put(file: string, mode: number): void {
  mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  writeFileSync(path.join(root, file), '');
  chmodSync(path.join(root, file), mode);
}

test('what a conversion leaves is nobody else’s', async () => {
  expect(await found()).toEqual([]);
});

test('a key that others may read, and a program that others may change, are named with what mends them', async () => {
  put('/var/lib/holdfast/store.key.old', 0o640);
  put('/opt/holdfast/current/lib/holdfast.mjs', 0o664);
  expect(await looseFiles(new NodeFiles(root, false), owner)).toEqual([
    {
      file: '/var/lib/holdfast/store.key.old',
      problem: 'others may read /var/lib/holdfast/store.key.old (mode 0640)',
      fix: 'chmod go-rwx /var/lib/holdfast/store.key.old',
    },
    {
      file: '/opt/holdfast/current/lib/holdfast.mjs',
      problem: 'others may change /opt/holdfast/current/lib/holdfast.mjs (mode 0664)',
      fix: 'chmod go-w /opt/holdfast/current/lib/holdfast.mjs',
    },
  ]);
});

test('the folder itself is closed', async () => {
  chmodSync(path.join(root, 'var/lib/holdfast'), 0o755);
  expect(await found()).toEqual(['others may read /var/lib/holdfast (mode 0755)']);
});

test('another owner may change what root believes, whatever the mode', async () => {
  expect(await found(owner + 1)).toContain(`/etc/holdfast/node.yaml belongs to uid ${owner}`);
});
