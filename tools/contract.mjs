// Runs the contract suites; `--cuts N` cuts the link of the client-go part N times (4 by default, 20 is the full form).
// All other arguments are jest's.
import { spawnSync } from 'node:child_process';
import path from 'node:path';

const args = process.argv.slice(2);
const at = args.indexOf('--cuts');
const cuts = at < 0 ? undefined : args.splice(at, 2)[1];
if (cuts !== undefined && !/^[1-9]\d*$/.test(cuts)) {
  console.error(`--cuts ${cuts}: a number of cuts, from 1`);
  process.exit(2);
}
const env = { ...process.env, ...(cuts === undefined ? {} : { HOLDFAST_CUTS: cuts }) };
const script = path.join(import.meta.dirname, 'test.mjs');
const result = spawnSync(process.execPath, [script, '--testMatch', '**/*.contract.ts', ...args], {
  stdio: 'inherit',
  env,
});
process.exit(result.status ?? 1);
