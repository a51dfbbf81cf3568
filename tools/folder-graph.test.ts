// Proves that the check of the folder graph reports what it is for: each case is a project of one or two files in a
// temporary folder. The check is an ES module for plain Node.js, so it runs in a process of its own.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const check = pathToFileURL(path.join(__dirname, 'folder-graph.mjs')).href;

function problemsOf(files: Readonly<Record<string, string>>): string[] {
  const root = mkdtempSync(path.join(tmpdir(), 'holdfast-graph-'));
  try {
    for (const [file, source] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
      writeFileSync(path.join(root, file), source);
    }
    const script = `import { folderGraphProblems } from ${JSON.stringify(check)};
      console.log(JSON.stringify(folderGraphProblems(process.argv[1])));`;
    const text = execFileSync(process.execPath, ['--input-type=module', '--eval', script, root], { encoding: 'utf8' });
    return JSON.parse(text) as string[];
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const ways: [string, (target: string) => string][] = [
  ['import', (target) => `import { a } from '${target}';`],
  ['import of a type', (target) => `import type { A } from '${target}';`],
  ['import over several lines', (target) => `// why\nimport {\n  a,\n  type B,\n} from '${target}';`],
  ['import of everything', (target) => `import * as all from '${target}';`],
  ['import for its effect', (target) => `import '${target}';`],
  ['export from', (target) => `export { a } from '${target}';`],
  ['export of everything', (target) => `export * from '${target}';`],
  ['import when it runs', (target) => `export async function f() {\n  return await import('${target}');\n}`],
  ['import with attributes', (target) => `import table from '${target}' with { type: 'json' };`],
  ['type position', (target) => `export type A = import('${target}').A;`],
];

describe.each(ways)('by %s', (_way, statement) => {
  test('an edge that the graph does not have is reported', () => {
    expect(problemsOf({ 'kube/deep/a.ts': statement('../../yurthub/b.ts') })).toEqual([
      'kube/deep/a.ts: kube must not import yurthub (allowed: runtime)',
    ]);
    expect(problemsOf({ 'runtime/a.ts': statement('../kube/b.ts') })).toEqual([
      'runtime/a.ts: runtime must not import kube (allowed: nothing)',
    ]);
  });

  test('an unknown package, and a known one outside its home, are reported', () => {
    expect(problemsOf({ 'yurthub/a.ts': statement('left-pad') })).toEqual([
      'yurthub/a.ts: package left-pad has no home in tools/folder-graph.mjs',
    ]);
    expect(problemsOf({ 'yurthub/front/a.ts': statement('level') })).toEqual([
      'yurthub/front/a.ts: package level is wrapped in yurthub/store; import that instead',
    ]);
  });

  test('an unknown folder is reported, on either side', () => {
    expect(problemsOf({ 'elsewhere/a.ts': statement('../runtime/b.ts') })).toEqual([
      'elsewhere/a.ts: folder elsewhere is not in tools/folder-graph.mjs',
    ]);
    expect(problemsOf({ 'yurthub/a.ts': statement('../elsewhere/b.ts') })).toEqual([
      'yurthub/a.ts: yurthub must not import elsewhere (allowed: kube, runtime)',
    ]);
  });

  test('what is allowed is not reported', () => {
    expect(problemsOf({ 'yurthub/front/a.ts': statement('../../kube/b.ts') })).toEqual([]);
    expect(problemsOf({ 'yurthub/front/a.ts': statement('../store/b.ts') })).toEqual([]);
    expect(problemsOf({ 'yurthub/store/a.ts': statement('level') })).toEqual([]);
    expect(problemsOf({ 'yurthub/a.ts': statement('node:fs') })).toEqual([]);
  });
});

test('a daemon may not import another, not even in a test; a test may use what stands in test/', () => {
  expect(problemsOf({ 'yurthub/a.test.ts': "import { a } from '../cli/b.ts';" })).toHaveLength(1);
  expect(problemsOf({ 'yurthub/a.test.ts': "import { a } from '../test/cluster/b.ts';" })).toEqual([]);
  expect(problemsOf({ 'yurthub/a.ts': "import { a } from '../test/cluster/b.ts';" })).toHaveLength(1);
});

test('a folder beside a home whose name begins likewise is no home', () => {
  expect(problemsOf({ 'yurthub/store-two/a.ts': "import { a } from 'level';" })).toHaveLength(1);
});

test('a folder is reported for being unknown even if its files import nothing', () => {
  expect(problemsOf({ 'elsewhere/a.ts': 'export const a = 1;' })).toEqual([
    'elsewhere/a.ts: folder elsewhere is not in tools/folder-graph.mjs',
  ]);
});

test('every problem is reported, and what is installed or built is not looked at', () => {
  const bad = "import { a } from '../yurthub/b.ts';\nimport b from 'left-pad';\n";
  const files = { 'kube/a.ts': bad, 'node_modules/x/a.ts': bad, 'dist/a.ts': bad, '.cache/a.ts': bad };
  expect(problemsOf(files)).toHaveLength(2);
});
