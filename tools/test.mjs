// Runs jest (arguments are passed on) and ends with one line that counts: N passed, N failed, N skipped.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-test-'));
const report = path.join(folder, 'report.json');
try {
  const jest = path.join(root, 'node_modules', 'jest', 'bin', 'jest.js');
  const options = ['--json', `--outputFile=${report}`, '--testLocationInResults'];
  const result = spawnSync(process.execPath, [jest, ...options, ...process.argv.slice(2)], {
    cwd: root,
    stdio: ['inherit', 'ignore', 'inherit'],
  });
  const counts = JSON.parse(readFileSync(report, 'utf8'));
  // A suite that could not be run at all counts as one failure.
  const failed = counts.numFailedTests + counts.numRuntimeErrorTestSuites;
  console.log(`${counts.numPassedTests} passed, ${failed} failed, ${counts.numPendingTests} skipped`);
  process.exitCode = result.status ?? 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
