// npm start: builds the executable and runs the hub in front of a cluster, or of the embedded API server.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
await import('./build.mjs');
const result = spawnSync(
  process.execPath,
  [path.join(root, 'dist', 'holdfast.mjs'), 'demo', ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exit(result.status ?? 1);
