// Bundles the executable. LevelDB's native part stays outside, in a node_modules beside the bundle, where it finds its own binary.
import { build } from 'esbuild';
import { readFileSync } from 'node:fs';
import path from 'node:path';

/** Packages that stay outside the bundle. */
export const outside = ['classic-level'];

/**
 * Modules of Node.js by `require`: to import one, Node.js reads each of its exports, and those that it loads when they are read
 * (undici for node:http's WebSocket, webcrypto for node:crypto) then cost an edge node memory that nobody uses.
 */
const requiredBuiltins = {
  name: 'required-builtins',
  setup(builder) {
    builder.onResolve({ filter: /^node:/ }, ({ path: name, kind }) =>
      kind === 'import-statement' ? { path: name, namespace: 'required-builtin' } : undefined,
    );
    builder.onLoad({ filter: /^/, namespace: 'required-builtin' }, ({ path: name }) => ({
      contents: `module.exports = require(${JSON.stringify(name)});`,
    }));
  },
};

/** Writes `outfile` and gives the names of the packages that are in it. */
export async function bundle(root, outfile) {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: ['cli/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    splitting: false,
    plugins: [requiredBuiltins],
    external: outside,
    define: { HOLDFAST_VERSION: JSON.stringify(version) },
    banner: {
      js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    legalComments: 'none',
    logLevel: 'warning',
    metafile: true,
  });
  const names = Object.keys(metafile.inputs).map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}
