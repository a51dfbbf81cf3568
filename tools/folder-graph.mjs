// The folders form a one-way graph. A new edge is a decision: add it here, with its reason, in the same commit.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/** For each folder, the folders that its files may import. Daemons never import each other. */
export const allowedImports = {
  runtime: [],
  kube: ['runtime'],
  // What the nodes of a pool and the eviction guard read and compute alike: pure, so both sides may have it.
  peers: ['kube', 'runtime'],
  yurthub: ['kube', 'runtime'],
  // What both ends of the tunnel share: credentials come as kubeconfigs name them.
  tunnel: ['kube', 'runtime'],
  'tunnel-agent': ['tunnel', 'kube', 'runtime'],
  'tunnel-server': ['tunnel', 'kube', 'runtime'],
  // Beside the hub in one process, and never of it: cli/node.ts hands the two to each other.
  health: ['peers', 'kube', 'runtime'],
  'embedded-apiserver': ['kube', 'runtime'],
  // The cloud's side of pools and of nodes that are judged.
  controllers: ['peers', 'kube', 'runtime'],
  // Takes a node over and gives it back; knows the daemons by their units, ports and files alone.
  dropin: ['kube', 'runtime'],
  // Nodes from the cloud: reads and writes as controllers do, and knows a command of a node by its outcome.
  fleet: ['controllers', 'dropin', 'kube', 'runtime'],
  // Puts the cloud side into a cluster: reaches it as the controllers do, and changes files of a host as the drop-in does.
  install: ['controllers', 'dropin', 'kube', 'runtime'],
  cli: [
    'install',
    'dropin',
    'controllers',
    'fleet',
    'yurthub',
    'health',
    'tunnel-agent',
    'tunnel-server',
    'embedded-apiserver',
    'kube',
    'runtime',
  ],
  // Makes archives, image and chart; no part of what is in them. Of install the form of the manifests.
  release: ['install'],
  test: [
    'release',
    'install',
    'fleet',
    'dropin',
    'cli',
    'yurthub',
    'health',
    'tunnel-agent',
    'tunnel-server',
    'tunnel',
    'embedded-apiserver',
    'controllers',
    'peers',
    'kube',
    'runtime',
  ],
};

/** Third-party packages enter through few places, each wrapping one of them for one purpose: a file without its .ts, or a folder. */
export const packageHomes = {
  level: ['yurthub/store'],
  'classic-level': ['yurthub/store'],
  winston: ['runtime/log'],
  'prom-client': ['runtime/metrics'],
  // Credentials of every kind that a kubeconfig can name; nothing on a node may load it.
  '@kubernetes/client-node': ['controllers/machinery/kubeconfig-access'],
  yaml: ['runtime/', 'kube/', 'cli/', 'test/'],
  'lru-cache': ['yurthub/', 'tunnel-server/authorizer'],
};

// Statements start a line (or follow the closing brace of a list of names); `import('…')` stands anywhere.
const importPattern = /(?:^(?:import|export)\s[^;'"`]*?from\s+'|^import\s+'|\bimport\(\s*')([^'\n]+)'/gm;

function* sourceFiles(directory) {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name === 'dist' || entry.name.startsWith('.')) continue;
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* sourceFiles(file);
    else if (entry.name.endsWith('.ts')) yield file;
  }
}

function isWithin(file, home) {
  return file === `${home}.ts` || file.startsWith(home.endsWith('/') ? home : `${home}/`);
}

/** Every import that the graph does not allow, as a line that names the file, the edge and the rule. */
export function folderGraphProblems(root) {
  const problems = [];
  for (const file of sourceFiles(root)) {
    const relative = path.relative(root, file);
    const folder = relative.split(path.sep)[0];
    const isTest = relative.startsWith('test/') || relative.endsWith('.test.ts');
    // A folder that imports nothing yet is a decision as well.
    if (!(folder in allowedImports) && folder !== 'tools') {
      problems.push(`${relative}: folder ${folder} is not in tools/folder-graph.mjs`);
      continue;
    }
    for (const [, target] of readFileSync(file, 'utf8').matchAll(importPattern)) {
      if (target.startsWith('.')) {
        const targetFolder = path.relative(root, path.resolve(path.dirname(file), target)).split(path.sep)[0];
        if (targetFolder === folder || (isTest && targetFolder === 'test')) continue;
        const allowed = allowedImports[folder] ?? [];
        if (!allowed.includes(targetFolder))
          problems.push(
            `${relative}: ${folder} must not import ${targetFolder} (allowed: ${allowed.join(', ') || 'nothing'})`,
          );
      } else if (!target.startsWith('node:') && !isTest) {
        const homes = packageHomes[target];
        if (homes === undefined) problems.push(`${relative}: package ${target} has no home in tools/folder-graph.mjs`);
        else if (!homes.some((home) => isWithin(relative, home)))
          problems.push(`${relative}: package ${target} is wrapped in ${homes.join(', ')}; import that instead`);
      }
    }
  }
  return problems;
}
