// Where the checkout is. The same files run as ES modules (npm run cluster) and as CommonJS (jest), which share neither
// import.meta nor __dirname, so the folder is found from the script that was started.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** The folder of the `holdfast` package above the running script, or above the working directory. */
export function projectRoot(): string {
  for (const start of [process.argv[1] ?? '', process.cwd()]) {
    for (let folder = path.resolve(start); folder !== path.dirname(folder); folder = path.dirname(folder)) {
      const manifest = path.join(folder, 'package.json');
      if (existsSync(manifest) && /"name":\s*"holdfast"/.test(readFileSync(manifest, 'utf8'))) return folder;
    }
  }
  throw new Error(`no holdfast checkout above ${process.argv[1] ?? '(no script)'} or ${process.cwd()}`);
}
