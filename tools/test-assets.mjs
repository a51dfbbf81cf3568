// Sees to it that etcd and kube-apiserver are there for the integration suites. Runs on the machine's own Node.js; the
// work is done in TypeScript by the Node.js that npm brought.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const node = path.join(root, 'node_modules', '.bin', 'node');
const result = spawnSync(node, [path.join(root, 'test', 'cluster', 'main.ts'), 'assets'], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(result.status ?? 1);
