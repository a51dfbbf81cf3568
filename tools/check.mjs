// One command for all static checks: types, lint, format, folder graph. Prints every failure, not only the first.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { folderGraphProblems } from './folder-graph.mjs';

const root = path.join(import.meta.dirname, '..');
const bin = (name) => path.join(root, 'node_modules', '.bin', name);
let failed = 0;
let passed = 0;

function step(name, ok, detail = '') {
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${name}${detail}`);
  if (ok) passed += 1;
  else failed += 1;
}

function run(name, command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  step(name, result.status === 0);
}

run('types', bin('tsc'), ['-p', '.']);
run('lint', bin('oxlint'), ['--type-aware', '--deny-warnings', '.']);
run('format', bin('prettier'), ['--check', '--log-level=warn', '.']);
const problems = folderGraphProblems(root);
for (const problem of problems) console.error(problem);
step('folder graph', problems.length === 0);

console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
