// Installs the project's packages when they are missing or differ from package-lock.json. Runs on the machine's own
// Node.js (20 or later); what it installs brings the Node.js that everything else runs on.
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const stamp = path.join(root, 'node_modules', '.holdfast-installed');
const wanted = createHash('sha256')
  .update(readFileSync(path.join(root, 'package-lock.json')))
  .digest('hex');

if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== wanted) {
  console.log('Installing the packages that package-lock.json names (npm ci), about 20 seconds …');
  const result = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: 'inherit',
  });
  if (result.status !== 0) {
    console.error('npm ci failed; the lines above say why. Nothing else was changed.');
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}
