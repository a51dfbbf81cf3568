// Bundles the executable: dist/holdfast.mjs. LevelDB's native part stays in node_modules, where it finds its own binary.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.join(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

await build({
  absWorkingDir: root,
  entryPoints: ['cli/main.ts'],
  outfile: 'dist/holdfast.mjs',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  splitting: false,
  external: ['classic-level'],
  define: { HOLDFAST_VERSION: JSON.stringify(version) },
  banner: {
    js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  legalComments: 'none',
  logLevel: 'warning',
});
