// Finds the programs of a real cluster, or builds them from source through Go modules (the pins are in binaries/).
// Built programs are kept in a cache folder that is named by what they were built from, so a changed pin builds anew.
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { run, succeeds, waitFor } from './commands.ts';
import { HarnessError } from './errors.ts';
import { isAlive, startTicks } from './processes.ts';
import { projectRoot } from './project-root.ts';

/** Of the minor before: what a cluster that is upgraded by kubeadm begins with. */
export type EarlierProgram =
  `${'kubeadm' | 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler' | 'kube-proxy' | 'kubelet'}@1.33`;

export type Program =
  | EarlierProgram
  | 'coredns'
  | 'etcd'
  | 'hollow-nodes'
  | 'in-cluster'
  | 'kubeadm'
  | 'kube-apiserver'
  | 'kube-controller-manager'
  | 'kube-scheduler'
  | 'kube-proxy'
  | 'kubectl'
  | 'kubelet'
  | 'metrics-server'
  | 'wanqueue'
  | 'webhook';

/** What a control plane and its nodes need. */
export const clusterPrograms: readonly Program[] = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kube-proxy',
  'kubectl',
  'kubelet',
  'wanqueue',
];

/** What pods on a node with services need besides kube-proxy: a minute and a half to build, so only where it is used. */
export const servicePrograms: readonly Program[] = ['coredns', 'in-cluster'];

/** What a cluster by kubeadm needs besides the programs of the others. */
export const kubeadmPrograms: readonly Program[] = ['kubeadm', 'coredns'];

/** For the full form of drill kubeadm: ten minutes to build, so only where it is used. */
export const earlierPrograms: readonly EarlierProgram[] = [
  'kubeadm@1.33',
  'kube-apiserver@1.33',
  'kube-controller-manager@1.33',
  'kube-scheduler@1.33',
  'kube-proxy@1.33',
  'kubelet@1.33',
];

/** Kubelets without containers, for the full form of drill pools: minutes to build, so only where it is used. */
export const fleetPrograms: readonly Program[] = ['hollow-nodes'];

/** What the tunnel's drill has in a pod; seconds to build. */
export const tunnelPrograms: readonly Program[] = ['webhook'];

/** What `kubectl top` needs: minutes to build, so only for a drill's full form. */
export const metricsPrograms: readonly Program[] = ['metrics-server'];

export const allPrograms: readonly Program[] = [
  ...new Set([
    ...clusterPrograms,
    ...servicePrograms,
    ...kubeadmPrograms,
    ...tunnelPrograms,
    ...fleetPrograms,
    ...metricsPrograms,
  ]),
];

export const kubernetesVersion = 'v1.34.4';
/** As in binaries/kubernetes-1.33. */
export const earlierKubernetesVersion = 'v1.33.13';
/** A minor of Kubernetes that a cluster can be made of, with the programs of it. */
export type Minor = '1.33' | '1.34';
export const versionOf: Readonly<Record<Minor, string>> = {
  '1.33': earlierKubernetesVersion,
  '1.34': kubernetesVersion,
};
type EarlierName = EarlierProgram extends `${infer Name}@1.33` ? Name : never;
export const programOf = (name: EarlierName, minor: Minor): Program => (minor === '1.33' ? `${name}@1.33` : name);

/** What KUBEBUILDER_ASSETS may hold; the rest of a cluster always comes from the pins. */
const kubebuilderPrograms: readonly Program[] = ['etcd', 'kube-apiserver', 'kubectl'];

interface Source {
  /** Folder below test/cluster/binaries with a go.mod. */
  module:
    | 'etcd'
    | 'hollow-nodes'
    | 'kubeadm'
    | 'kubernetes'
    | 'kubernetes-1.33'
    | 'metrics-server'
    | 'services'
    | 'wanqueue'
    | 'webhook';
  package: string;
}

function sourceOf(program: Program): Source {
  if (program === 'etcd') return { module: 'etcd', package: 'go.etcd.io/etcd/server/v3' };
  if (program === 'metrics-server')
    return { module: program, package: 'sigs.k8s.io/metrics-server/cmd/metrics-server' };
  if (program === 'wanqueue' || program === 'webhook' || program === 'hollow-nodes')
    return { module: program, package: '.' };
  if (program === 'coredns' || program === 'in-cluster') return { module: 'services', package: `./${program}` };
  if (program === 'kubeadm') return { module: 'kubeadm', package: 'k8s.io/kubernetes/cmd/kubeadm' };
  if (program.endsWith('@1.33'))
    return { module: 'kubernetes-1.33', package: `k8s.io/kubernetes/cmd/${program.replace('@1.33', '')}` };
  return { module: 'kubernetes', package: `k8s.io/kubernetes/cmd/${program}` };
}

/** `${HOLDFAST_CACHE:-~/.cache/holdfast}`. */
export function cacheFolder(): string {
  return process.env['HOLDFAST_CACHE'] ?? path.join(homedir(), '.cache', 'holdfast');
}

/** The program's file if it is there now; never builds. */
export function findBinary(program: Program): string | undefined {
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && kubebuilderPrograms.includes(program)) {
    const file = path.join(assets, program);
    if (existsSync(file)) return file;
  }
  const file = cachedFile(program);
  return existsSync(file) ? file : undefined;
}

/** As findBinary, but throws NO_BINARY that says what to run. */
export function binary(program: Program): string {
  const file = findBinary(program);
  if (file === undefined) throw new HarnessError('NO_BINARY', `${program} is not built: npm run cluster -- build`);
  return file;
}

/** What integration tests need: an API server, and what people type (the local kubeconfig is tried with it). */
export const apiserverPrograms: readonly Program[] = ['etcd', 'kube-apiserver', 'kubectl'];
/** Those whose control plane has `controllers`. */
export const controlPlanePrograms: readonly Program[] = [
  ...apiserverPrograms,
  'kube-controller-manager',
  'kube-scheduler',
];

export function haveAll(programs: readonly Program[]): boolean {
  return programs.every((program) => findBinary(program) !== undefined);
}

/** Builds what is missing of `programs`, one after the other, saying so by `say`. Needs Go on the PATH. */
export async function buildBinaries(programs: readonly Program[], say: (line: string) => void): Promise<void> {
  if (haveAll(programs)) return;
  if (!(await succeeds(['go', 'version']))) {
    throw new HarnessError('NO_BINARY', 'Go is not installed (https://go.dev/dl), and it builds the cluster programs');
  }
  await using _lock = await buildLock(say);
  // Another builder may have made some of them while this one waited for the lock.
  const missing = programs.filter((program) => findBinary(program) === undefined);
  for (const [index, program] of missing.entries()) await build(program, `${index + 1}/${missing.length}`, say);
}

async function build(program: Program, count: string, say: (line: string) => void): Promise<void> {
  const { module, package: goPackage } = sourceOf(program);
  const target = cachedFile(program);
  mkdirSync(path.dirname(target), { recursive: true });
  const temporary = `${target}.building-${process.pid}`;
  const started = performance.now();
  const seconds = (): string => `${Math.round((performance.now() - started) / 1000)} s`;
  say(`building ${program} (${count}) from ${goPackage}; the first one takes minutes, most of them downloads …`);
  const progress = setInterval(() => say(`  ${program}: ${seconds()} …`), 15_000);
  try {
    await go(['build', '-trimpath', '-ldflags', linkerFlags(module), '-o', temporary, goPackage], moduleFolder(module));
    renameSync(temporary, target);
  } finally {
    clearInterval(progress);
    rmSync(temporary, { force: true });
  }
  say(`  ${program}: built in ${seconds()}`);
}

function go(args: readonly string[], folder: string): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
  return new Promise((resolve, reject) => {
    const child = spawn('go', args, { cwd: folder, env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new HarnessError('COMMAND_FAILED', `go ${args.join(' ')} in ${folder}: exit ${signal ?? code}`));
    });
  });
}

const ofKubernetes: readonly Source['module'][] = ['kubernetes', 'kubernetes-1.33', 'kubeadm', 'hollow-nodes'];

/** Smaller files, and the version that the programs report: without it `v0.0.0-master` breaks version checks. */
function linkerFlags(module: Source['module']): string {
  if (!ofKubernetes.includes(module)) return '-s -w';
  const version = module === 'kubernetes-1.33' ? earlierKubernetesVersion : kubernetesVersion;
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(version) ?? [];
  return ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version']
    .flatMap((target) => [
      `-X ${target}.gitVersion=${version}`,
      `-X ${target}.gitMajor=${major}`,
      `-X ${target}.gitMinor=${minor}`,
    ])
    .reduce((flags, flag) => `${flags} ${flag}`, '-s -w');
}

function moduleFolder(module: Source['module']): string {
  return path.join(projectRoot(), 'test', 'cluster', 'binaries', module);
}

function cachedFile(program: Program): string {
  const { module } = sourceOf(program);
  return path.join(cacheFolder(), 'bin', `${module}-${sourceKey(module)}`, program);
}

/** 12 hexadecimal digits of everything that decides what is built: pins, own source, flags. */
function sourceKey(module: Source['module']): string {
  const folder = moduleFolder(module);
  const hash = createHash('sha256').update(linkerFlags(module));
  for (const file of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (/^go\.(mod|sum)$|\.go$/.test(file)) hash.update(file).update(readFileSync(path.join(folder, file)));
  }
  return hash.digest('hex').slice(0, 12);
}

/** One builder at a time per cache: two would need twice the memory and build everything twice. */
async function buildLock(say: (line: string) => void): Promise<AsyncDisposable> {
  const file = path.join(cacheFolder(), 'build.lock');
  mkdirSync(path.dirname(file), { recursive: true });
  const mine = JSON.stringify({ pid: process.pid, startTicks: startTicks(process.pid) ?? '' });
  let said = false;
  await waitFor(
    'another build ends',
    () => {
      try {
        writeFileSync(file, mine, { flag: 'wx' });
        return true;
      } catch {
        const holder = readLock(file);
        if (holder === undefined || !isAlive(holder)) rmSync(file, { force: true });
        else if (!said) say(`waiting for the build of process ${holder.pid} …`);
        said = true;
        return false;
      }
    },
    { deadlineMs: 30 * 60_000, everyMs: 500 },
  );
  return {
    [Symbol.asyncDispose]: async () => {
      rmSync(file, { force: true });
    },
  };
}

function readLock(file: string): { pid: number; startTicks: string } | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as { pid: number; startTicks: string };
  } catch {
    return undefined; // its writer died before it was whole
  }
}

/** `VERSION` as the program itself reports it. */
export async function reportedVersion(program: Program): Promise<string> {
  return (await run([binary(program), '--version'])).trim();
}
