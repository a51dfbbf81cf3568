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

/** What reaches a cluster in every way that a kubeconfig knows is not for nodes: files of their own, loaded by these names when asked for. */
const apartFiles = {
  'controllers/run.ts': 'holdfast-controllers.mjs',
  'install/run.ts': 'holdfast-install.mjs',
  'fleet/run.ts': 'holdfast-fleet.mjs',
};
const cloudApart = {
  name: 'cloud-apart',
  setup(builder) {
    builder.onResolve({ filter: /\/(controllers|install|fleet)\/run\.ts$/ }, ({ kind, path: name }) => {
      const file = apartFiles[name.replace(/^(\.\.\/)+/, '')];
      return kind === 'dynamic-import' && file !== undefined ? { path: `./${file}`, external: true } : undefined;
    });
  },
};

const banner =
  "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);";

/** Writes the files of the program into `folder`; `version` is what it says that it is. Gives their names, the executable's first, and those of the packages in them. */
export async function bundle(root, folder, version) {
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    splitting: false,
    external: outside,
    define: { HOLDFAST_VERSION: JSON.stringify(version) },
    legalComments: 'none',
    // V8 keeps the text of the bundle for as long as the process lives, so comments and indentation cost an edge node memory.
    minifyWhitespace: true,
    logLevel: 'warning',
    metafile: true,
  };
  const executable = await build({
    ...common,
    entryPoints: ['cli/main.ts'],
    outfile: path.join(folder, 'holdfast.mjs'),
    plugins: [requiredBuiltins, cloudApart],
    banner: { js: `#!/usr/bin/env node\n${banner}` },
  });
  const others = [];
  for (const [entryPoint, file] of Object.entries(apartFiles))
    others.push(
      await build({
        ...common,
        entryPoints: [entryPoint],
        outfile: path.join(folder, file),
        plugins: [requiredBuiltins],
        banner: { js: banner },
      }),
    );
  // One character beyond Latin-1, and V8 keeps two bytes for each of them all.
  if (readFileSync(path.resolve(root, folder, 'holdfast.mjs')).some((byte) => byte > 0x7f))
    throw new Error('holdfast.mjs: not ASCII; write such characters of regular expressions as \\u escapes');
  const names = [executable, ...others]
    .flatMap(({ metafile }) => Object.keys(metafile.inputs))
    .map((file) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1])
    .filter((name) => name !== undefined);
  return { files: ['holdfast.mjs', ...Object.values(apartFiles)], packages: [...new Set(names)].sort() };
}
