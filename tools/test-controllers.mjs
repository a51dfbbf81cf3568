// Runs the suites in which Kubernetes' own controllers act at their own pace, so that they take minutes. Arguments are jest's.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const script = path.join(import.meta.dirname, 'test.mjs');
const args = [script, '--testMatch', '**/*.controllers.ts', ...process.argv.slice(2)];
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1);
