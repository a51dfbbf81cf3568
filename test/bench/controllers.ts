// `npm run bench -- controllers`: the built `holdfast controllers`, with the rights of config/controllers, on a real API server full
// of nodes, pools and app sets. No kubelets and no other controllers: what is counted is ours alone.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import { applyConfig } from '../cluster/apply-config.ts';
import { waitFor } from '../cluster/commands.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { projectRoot } from '../cluster/project-root.ts';
import { Child } from './child.ts';
import { cpuMs, memoryOf, resetPeak } from './process-cost.ts';

export interface ControllersScale {
  readonly nodes: number;
  readonly pools: number;
  readonly appSets: number;
  /** Pools of each app set; of the first one all. */
  readonly poolsPerAppSet: number;
  readonly steadySeconds: number;
  readonly moves: number;
}

export const fullControllersScale: ControllersScale = {
  nodes: 5_000,
  pools: 200,
  appSets: 200,
  poolsPerAppSet: 5,
  steadySeconds: 60,
  moves: 100,
};
export const quickControllersScale: ControllersScale = {
  ...fullControllersScale,
  nodes: 500,
  steadySeconds: 20,
  moves: 20,
};

export interface ControllersRow {
  readonly title: string;
  readonly unit: string;
  readonly value: number;
  readonly figure: string;
  /** Undefined where the figure is only printed. */
  readonly met: boolean | undefined;
}

interface Context {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const nodePools = '/apis/apps.openyurt.io/v1beta2/nodepools';
const appSets = '/apis/apps.openyurt.io/v1beta1/namespaces/default/yurtappsets';
const deployments = '/apis/apps/v1/namespaces/default/deployments';
const opsPort = 10_270;
/** Nothing was sent for so long: it has found everything as it should be. */
const restMs = 5_000;

export async function benchControllers(scale: ControllersScale, { say, signal }: Context): Promise<ControllersRow[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'holdfast-bench-'));
  const plane = await ControlPlane.start({ controllers: false });
  try {
    await applyConfig(plane, 'crds', 'rbac', 'controllers');
    const workloads = scale.pools + (scale.appSets - 1) * scale.poolsPerAppSet;
    say(`${scale.nodes} nodes, ${scale.pools} pools, ${scale.appSets} app sets with ${workloads} workloads …`);
    await populate(plane, scale, signal);
    const kubeconfig = path.join(folder, 'kubeconfig');
    writeFileSync(kubeconfig, JSON.stringify(await kubeconfigOf(plane)), { mode: 0o600 });
    say('everything is made for the first time …');
    const before = serversCpuMs(plane);
    const first = await startToSteady(plane, kubeconfig, workloads, signal);
    const after = serversCpuMs(plane);
    const own = cpuMs(first.process.pid);
    await first.process[Symbol.asyncDispose]();
    say('a successor starts …');
    const next = await startToSteady(plane, kubeconfig, workloads, signal);
    await using controllers = next.process;
    const rows: ControllersRow[] = [
      row('first start to steady, everything to be made', 's', first.seconds, '< 60 s', first.seconds < 60),
      row('calls of that start', '', first.calls, '', undefined),
      row('CPU of that start: the controllers', 's', own / 1000, '', undefined),
      row('CPU of that start: kube-apiserver', 's', (after.apiserver - before.apiserver) / 1000, '', undefined),
      row('CPU of that start: etcd', 's', (after.etcd - before.etcd) / 1000, '', undefined),
      row('start to steady', 's', next.seconds, '< 60 s', next.seconds < 60),
      row('calls of that start, lists and the Lease included', '', next.calls, '', undefined),
    ];
    say(`steady for ${scale.steadySeconds} s …`);
    rows.push(...(await steady(controllers, scale, signal)));
    say('one template changes …');
    rows.push(...(await templateChange(plane, controllers, scale, signal)));
    say(`${scale.moves} nodes move …`);
    rows.push(await moves(plane, scale, signal));
    const { peakMiB } = memoryOf(controllers.pid);
    rows.push(row('resident memory, highest of all this', 'MiB', peakMiB, '< 250 MiB', peakMiB < 250));
    return rows;
  } finally {
    await plane.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function serversCpuMs(plane: ControlPlane): { apiserver: number; etcd: number } {
  const of = (name: string): number => cpuMs(plane.processes.running(name)?.pid ?? 0);
  return { apiserver: of('kube-apiserver'), etcd: of('etcd') };
}

async function populate(plane: ControlPlane, scale: ControllersScale, signal: AbortSignal): Promise<void> {
  const pool = (index: number): string => `pool-${index % scale.pools}`;
  await each(scale.pools, signal, (index) => {
    const metadata = { name: pool(index), labels: { all: 'yes' } };
    const spec = { type: 'Edge', labels: { site: pool(index) } };
    return plane.request('POST', nodePools, {
      apiVersion: 'apps.openyurt.io/v1beta2',
      kind: 'NodePool',
      metadata,
      spec,
    });
  });
  await each(scale.nodes, signal, async (index) => {
    const name = `node-${index}`;
    const metadata = { name, labels: { ...nodeLabels(name), 'apps.openyurt.io/nodepool': pool(index) }, annotations };
    const spec = { podCIDR: `10.${100 + (index >> 8)}.${index & 255}.0/24` };
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata, spec });
    await plane.request('PATCH', `/api/v1/nodes/${name}/status`, { status: nodeStatus(index) });
  });
  await each(scale.appSets, signal, (index) => {
    const some = Array.from({ length: scale.poolsPerAppSet }, (_, offset) =>
      pool(index * scale.poolsPerAppSet + offset),
    );
    const choice = index === 0 ? { nodepoolSelector: { matchLabels: { all: 'yes' } } } : { pools: some };
    const kind = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name: `app-${index}` } };
    return plane.request('POST', appSets, {
      ...kind,
      spec: { ...choice, workload: workload(`app-${index}`, 'web:1') },
    });
  });
}

const annotations = {
  'kubeadm.alpha.kubernetes.io/cri-socket': 'unix:///run/containerd/containerd.sock',
  'node.alpha.kubernetes.io/ttl': '0',
  'volumes.kubernetes.io/controller-managed-attach-detach': 'true',
};

function nodeLabels(name: string): Record<string, string> {
  return {
    'beta.kubernetes.io/arch': 'amd64',
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': 'amd64',
    'kubernetes.io/hostname': name,
    'kubernetes.io/os': 'linux',
    'topology.kubernetes.io/region': 'bench',
    'topology.kubernetes.io/zone': `bench-${name}`,
  };
}

/** About the size of what a kubelet reports: 12 KB, most of it images. */
function nodeStatus(index: number): unknown {
  const at = '2026-01-01T00:00:00Z';
  const condition = (type: string, status: string): object => ({
    type,
    status,
    reason: `Kubelet${type}`,
    message: `kubelet has a sentence to say of ${type}, as it always does`,
    lastHeartbeatTime: at,
    lastTransitionTime: at,
  });
  const pressures = ['MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => condition(type, 'False'));
  const digest = 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef';
  const images = Array.from({ length: 50 }, (_, image) => ({
    names: [
      `registry.example.com/shop/image-${image}@${digest}`,
      `registry.example.com/shop/image-${image}:1.${image}`,
    ],
    sizeBytes: 50_000_000 + image,
  }));
  const resources = { cpu: '4', memory: '8148864Ki', 'ephemeral-storage': '61255492Ki', pods: '110' };
  const address = `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`;
  return {
    conditions: [...pressures, condition('Ready', 'True')],
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: `node-${index}` },
    ],
    capacity: resources,
    allocatable: resources,
    images,
    nodeInfo: {
      machineID: `machine-${index}`,
      systemUUID: `system-${index}`,
      bootID: `boot-${index}`,
      kernelVersion: '6.1.0',
      osImage: 'Debian GNU/Linux 12 (bookworm)',
      containerRuntimeVersion: 'containerd://2.1.0',
      kubeletVersion: 'v1.34.4',
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: 'amd64',
    },
  };
}

/** A template of the size that people write. */
function workload(app: string, image: string): unknown {
  const env = Array.from({ length: 10 }, (_, index) => ({
    name: `SETTING_${index}`,
    value: `value of setting ${index}`,
  }));
  const resources = { requests: { cpu: '50m', memory: '64Mi' }, limits: { memory: '128Mi' } };
  const containers = [{ name: 'web', image, env, resources, ports: [{ containerPort: 80 }] }];
  const template = { metadata: { labels: { app } }, spec: { containers } };
  return { workloadTemplate: { deploymentTemplate: { spec: { selector: { matchLabels: { app } }, template } } } };
}

async function kubeconfigOf(plane: ControlPlane): Promise<unknown> {
  const token = await plane.token('kube-system', 'holdfast-controllers', { expirationSeconds: 7_200 });
  const authority = Buffer.from(plane.ca).toString('base64');
  return {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'bench', cluster: { server: plane.url, 'certificate-authority-data': authority } }],
    users: [{ name: 'controllers', user: { token } }],
    contexts: [{ name: 'bench', context: { cluster: 'bench', user: 'controllers' } }],
    'current-context': 'bench',
  };
}

/** From the start of the process until all workloads are there and nothing more is sent; the pause to be sure is taken off. */
async function startToSteady(
  plane: ControlPlane,
  kubeconfig: string,
  workloads: number,
  signal: AbortSignal,
): Promise<{ process: Child; seconds: number; calls: number }> {
  const program = [path.join(projectRoot(), 'dist', 'holdfast.mjs'), 'controllers', '--kubeconfig', kubeconfig];
  const argv = [process.execPath, ...program, '--ops-listen', `127.0.0.1:${opsPort}`];
  const startedMs = performance.now();
  const child = new Child({ name: 'holdfast controllers', argv, env: environment(), signal });
  try {
    await waitFor('it leads', async () => (await metric(/^holdfast_controllers_leader (\d)/gm)) === 1, {
      deadlineMs: 120_000,
      everyMs: 100,
      signal,
      context: () => child.stderr,
    });
    const restedMs = await rest(signal);
    const { items } = await plane.request<{ items: unknown[] }>('GET', deployments);
    if (items.length !== workloads)
      throw new Error(`${items.length} workloads instead of ${workloads}\n${child.stderr}`);
    return { process: child, seconds: (restedMs - startedMs) / 1000, calls: await calls() };
  } catch (error) {
    await child[Symbol.asyncDispose]();
    throw error;
  }
}

interface Deployment {
  readonly spec: {
    readonly template: {
      readonly spec: { readonly containers: readonly { readonly env: readonly { name: string; value: string }[] }[] };
    };
  };
}

/** As config/controllers/deployment.yaml starts it. */
function environment(): NodeJS.ProcessEnv {
  const file = path.join(projectRoot(), 'config', 'controllers', 'deployment.yaml');
  const deployment = parseAllDocuments(readFileSync(file, 'utf8'))[0]!.toJS() as Deployment;
  const entries = deployment.spec.template.spec.containers.flatMap(({ env }) => env);
  return { ...process.env, ...Object.fromEntries(entries.map(({ name, value }) => [name, value])) };
}

async function steady(controllers: Child, scale: ControllersScale, signal: AbortSignal): Promise<ControllersRow[]> {
  resetPeak(controllers.pid);
  const [writesBefore, cpuBefore] = [await writes(), cpuMs(controllers.pid)];
  await delay(scale.steadySeconds * 1000, undefined, { signal });
  const cpu = (cpuMs(controllers.pid) - cpuBefore) / (scale.steadySeconds * 10);
  const written = (await writes()) - writesBefore;
  const { residentMiB } = memoryOf(controllers.pid);
  return [
    row('steady state, writes', '', written, '0', written === 0),
    row('steady state, share of a core', '%', cpu, '< 1 %', cpu < 1),
    row('steady state, resident memory', 'MiB', residentMiB, '< 250 MiB', residentMiB < 250),
  ];
}

async function templateChange(
  plane: ControlPlane,
  controllers: Child,
  scale: ControllersScale,
  signal: AbortSignal,
): Promise<ControllersRow[]> {
  const [callsBefore, cpuBefore, startedMs] = [await calls(), cpuMs(controllers.pid), performance.now()];
  await plane.request('PATCH', `${appSets}/app-0`, { spec: { workload: workload('app-0', 'web:2') } });
  await waitFor(
    'all workloads of the app set have the new template',
    async () => (await metric(/^holdfast_controllers_app_set_writes_total\{write="start"\} (\d+)/gm)) >= scale.pools,
    { deadlineMs: 120_000, everyMs: 100, signal },
  );
  const restedMs = await rest(signal);
  // The Lease is renewed all the time, and is no call of this.
  const perObject = ((await calls()) - callsBefore) / scale.pools;
  return [
    row(`template change over ${scale.pools} pools`, 's', (restedMs - startedMs) / 1000, '', undefined),
    row('calls for each object of it', '', perObject, '<= 1.1', perObject <= 1.1),
    row('CPU for each object of it', 'ms', (cpuMs(controllers.pid) - cpuBefore) / scale.pools, '', undefined),
  ];
}

/** From the answer to the label's change until both pools count right. */
async function moves(plane: ControlPlane, scale: ControllersScale, signal: AbortSignal): Promise<ControllersRow> {
  const samples: number[] = [];
  for (let move = 0; move < scale.moves; move++) {
    signal.throwIfAborted();
    const [node, target] = [`node-${move}`, `pool-${(move + 1) % scale.pools}`];
    await plane.request('PATCH', `/api/v1/nodes/${node}`, {
      metadata: { labels: { 'apps.openyurt.io/nodepool': target } },
    });
    const startedMs = performance.now();
    await waitFor(
      `${target} counts ${node}`,
      async () => {
        const pool = await plane.request<{ status?: { nodes?: string[] } }>('GET', `${nodePools}/${target}`);
        return pool.status?.nodes?.includes(node);
      },
      { deadlineMs: 30_000, everyMs: 10, signal },
    );
    samples.push(performance.now() - startedMs);
  }
  const sorted = samples.toSorted((a, b) => a - b);
  const p99 = (sorted[Math.ceil(0.99 * sorted.length) - 1] ?? Infinity) / 1000;
  return row("a node's label to its pool's status, p99", 's', p99, '< 2 s', p99 < 2);
}

/** Waits until nothing is sent; gives when the last was, on performance.now's clock. */
async function rest(signal: AbortSignal): Promise<number> {
  let [last, lastMs] = [await calls(), performance.now()];
  while (performance.now() - lastMs < restMs) {
    await delay(100, undefined, { signal });
    const now = await calls();
    if (now !== last) [last, lastMs] = [now, performance.now()];
  }
  return lastMs;
}

/** Lists and writes; not what leader election reads and writes. */
function calls(): Promise<number> {
  return metric(
    /^holdfast_controllers_api_requests_total\{verb="(?:list|create|patch|delete)",outcome="\w+"\} (\d+)/gm,
  );
}

function writes(): Promise<number> {
  return metric(/^holdfast_controllers_api_requests_total\{verb="(?:create|patch|delete)",outcome="ok"\} (\d+)/gm);
}

/** The sum of what `pattern` finds. */
function metric(pattern: RegExp): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port: opsPort, path: '/metrics', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => resolve([...text.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0)));
    });
    request.on('error', reject);
  });
}

async function each(count: number, signal: AbortSignal, action: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      signal.throwIfAborted();
      await action(next++);
    }
  };
  await Promise.all(Array.from({ length: 16 }, worker));
}

function row(title: string, unit: string, value: number, figure: string, met: boolean | undefined): ControllersRow {
  return { title, unit, value, figure, met };
}

export function controllersTable(rows: readonly ControllersRow[]): string {
  const number = (value: number): string => value.toFixed(value >= 100 || Number.isInteger(value) ? 0 : 2);
  const cells = [
    ['row', 'unit', 'value', 'to reach', 'met'],
    ...rows.map(({ title, unit, value, figure, met }) => [
      title,
      unit,
      number(value),
      figure,
      met === undefined ? '' : met ? 'yes' : 'NO',
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((line) => line[column]?.length ?? 0)));
  const lines = cells.map((line) =>
    line
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const missed = rows.filter(({ met }) => met === false).length;
  return `${lines.join('\n')}\n\nfigures: ${rows.filter(({ met }) => met === true).length} met, ${missed} missed\n`;
}
