// npm run cluster: a real cluster by hand. The same classes carry tests, drills and benchmarks.
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  allPrograms,
  buildBinaries,
  cacheFolder,
  haveAll,
  apiserverPrograms,
  controlPlanePrograms,
  findBinary,
  reportedVersion,
} from './binaries.ts';
import type { Program } from './binaries.ts';
import { Cluster } from './cluster.ts';
import { succeeds } from './commands.ts';
import { HarnessError } from './errors.ts';
import type { LinkFault } from './faults.ts';
import { kubeadmUsage, runKubeadmCommand } from './kubeadm/command.ts';
import { bridgeName } from './network.ts';
import { projectRoot } from './project-root.ts';
import { registered, remove } from './register.ts';

const usage = `npm run cluster -- COMMAND [--dir FOLDER]

  build [PROGRAM…]        build what is missing of etcd, kube-*, kubelet, kubectl, wanqueue, coredns … from the
                          pins in binaries/
  up                      control plane; prints the administrator's kubeconfig
  node add NAME           an edge node behind NAT
  node remove NAME
  node off|on NODE        power cut; boot with containerd and kubelet
  cut NAME [refuse | drop | delay MS | loss PERCENT]
                          the link between node and cloud (default: drop); MS is added to the round trip
  heal NAME
  shell NAME [COMMAND…]   a shell, or one command, on the node
  kubectl …               as administrator
  status                  all clusters of this machine, and the nodes of this one
  down [--all]            remove everything; --all: every cluster of this machine, kubeadm's too
${kubeadmUsage}

FOLDER is where the state is kept, ${path.join(cacheFolder(), 'cluster')} by default.`;

const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    // What follows `kubectl` or `shell NAME` belongs to that command.
    strict: false,
    options: { dir: { type: 'string' }, all: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    args: ownArguments(process.argv.slice(2)),
  });
  const dir = typeof values.dir === 'string' ? path.resolve(values.dir) : path.join(cacheFolder(), 'cluster');
  const [command = 'help', ...args] = positionals;
  if (values.help === true || command === 'help') {
    say(usage);
    return 0;
  }
  switch (command) {
    case 'build':
      return build(args);
    case 'assets':
      return assets();
    case 'up':
      return up(dir);
    case 'node':
      return node(dir, args);
    case 'cut':
      await Cluster.attach(dir)
        .node(nameIn(args))
        .link.apply(faultFrom(args.slice(1)));
      return 0;
    case 'heal':
      await Cluster.attach(dir).node(nameIn(args)).link.heal();
      return 0;
    case 'shell':
      return shell(dir, nameIn(args), rest('shell', 2));
    case 'kubectl':
      return kubectl(dir, rest('kubectl', 1));
    case 'kubeadm':
      return runKubeadmCommand(rest('kubeadm', 1), typeof values.dir === 'string' ? dir : undefined, faultFrom);
    case 'status':
      return status(dir);
    case 'down':
      return down(dir, values.all === true);
    default:
      throw new TypeError(`no such command: ${command}`);
  }
}

/** Up to and including the command that takes the rest as its own. */
function ownArguments(argv: readonly string[]): string[] {
  const index = argv.findIndex((argument) => ['shell', 'kubectl', 'kubeadm'].includes(argument));
  return argv.slice(0, index < 0 ? undefined : index + (argv[index] === 'shell' ? 2 : 1));
}

function rest(command: string, skip: number): string[] {
  return process.argv.slice(process.argv.indexOf(command) + skip);
}

function nameIn(args: readonly string[]): string {
  const [name] = args;
  if (name === undefined) throw new TypeError('which node? its name is missing');
  return name;
}

function faultFrom([kind = 'drop', amount]: readonly string[]): LinkFault {
  const number = Number(amount);
  if (kind === 'refuse' || kind === 'drop') return { kind };
  if (kind === 'delay' && number > 0) return { kind, roundTripMs: number };
  if (kind === 'loss' && number > 0 && number <= 100) return { kind, percent: number };
  throw new TypeError(`not a fault: ${kind} ${amount ?? ''} (refuse, drop, delay MS, loss PERCENT)`);
}

async function build(names: readonly string[]): Promise<number> {
  const unknown = names.filter((name) => !(allPrograms as readonly string[]).includes(name));
  if (unknown.length > 0) throw new TypeError(`not a program: ${unknown.join(' ')} (${allPrograms.join(' ')})`);
  await buildBinaries(names.length > 0 ? (names as readonly Program[]) : allPrograms, say);
  for (const program of allPrograms) say(`${program.padEnd(24)} ${findBinary(program) ?? 'not built'}`);
  if (findBinary('kubelet') !== undefined) say(`kubelet reports ${await reportedVersion('kubelet')}`);
  return 0;
}

/** Before `npm test`: a control plane's programs, or a clear word about what will not run. With CI=true that is a failure. */
async function assets(): Promise<number> {
  if (haveAll(controlPlanePrograms)) return 0;
  let why = 'Go is not installed to build them';
  if (await succeeds(['go', 'version']).catch(() => false)) {
    try {
      await buildBinaries(controlPlanePrograms, say);
      return 0;
    } catch (error) {
      why = error instanceof Error ? error.message : String(error);
    }
  }
  const root = projectRoot();
  // With KUBEBUILDER_ASSETS there may be an API server, and only its controllers are missing.
  const calls = haveAll(apiserverPrograms)
    ? ['describeWithControlPlane(']
    : ['describeWithControlPlane(', 'describeWithApiserver('];
  const suites = globSync('**/*.{test,controllers}.ts', { cwd: root, exclude: ['node_modules/**', 'dist/**'] }).filter(
    (file) => {
      const text = readFileSync(path.join(root, file), 'utf8');
      return calls.some((call) => text.includes(call));
    },
  );
  const missing = controlPlanePrograms.filter((program) => findBinary(program) === undefined);
  console.error(`No ${missing.join(', ')}: ${why}.`);
  console.error(`These integration suites will not run:\n${suites.map((file) => `  ${file}`).join('\n')}`);
  return process.env['CI'] === 'true' ? 1 : 0;
}

async function up(dir: string): Promise<number> {
  const started = performance.now();
  const cluster = await Cluster.up({ dir, outlivesProcess: true, say });
  say(`control plane ${cluster.plane.url} is ready after ${((performance.now() - started) / 1000).toFixed(1)} s`);
  say(`export KUBECONFIG=${cluster.plane.kubeconfig('admin', ['system:masters'])}`);
  cluster.plane.close();
  return 0;
}

async function node(dir: string, [action, ...names]: readonly string[]): Promise<number> {
  const cluster = Cluster.attach(dir);
  const name = nameIn(names);
  try {
    if (action === 'add') {
      await cluster.addNode(name);
      await cluster.waitForNode(name, true, 180_000);
      say(`node ${name} is Ready at ${cluster.node(name).site.nodeAddress}`);
    } else if (action === 'remove') await cluster.removeNode(name);
    else if (action === 'off') await cluster.node(name).powerOff();
    else if (action === 'on') await cluster.node(name).powerOn();
    else throw new TypeError(`node add, remove, off or on, not ${action ?? 'nothing'}`);
  } finally {
    cluster.plane.close();
  }
  return 0;
}

function shell(dir: string, name: string, argv: readonly string[]): number {
  const [file = '', ...args] = Cluster.attach(dir)
    .node(name)
    .enterArgv(argv.length > 0 ? argv : ['bash']);
  return spawnSync(file, args, { stdio: 'inherit' }).status ?? 1;
}

function kubectl(dir: string, argv: readonly string[]): number {
  const { plane } = Cluster.attach(dir);
  const kubeconfig = plane.kubeconfig('admin', ['system:masters']);
  plane.close();
  const file = findBinary('kubectl') ?? 'kubectl';
  return spawnSync(file, ['--kubeconfig', kubeconfig, ...argv], { stdio: 'inherit' }).status ?? 1;
}

async function status(dir: string): Promise<number> {
  for (const entry of registered()) {
    say(`${bridgeName(entry.number)} in ${entry.dir}${entry.owner ? `, of process ${entry.owner.pid}` : ''}`);
  }
  const here = registered().some((entry) => entry.dir === dir);
  if (!here) {
    say(`no cluster in ${dir}`);
    return 0;
  }
  const cluster = Cluster.attach(dir);
  for (const edge of cluster.nodes) {
    const ready = await cluster.isReady(edge.name).catch((error: unknown) => String(error));
    say(`  ${edge.name} ${edge.site.nodeAddress} ${edge.isOn ? 'on' : 'off'}, Ready ${ready}`);
  }
  cluster.plane.close();
  return 0;
}

async function down(dir: string, all: boolean): Promise<number> {
  const folders = all ? registered().map((entry) => entry.dir) : [dir];
  for (const folder of folders) say((await remove(folder)) ? `removed ${folder}` : `no cluster in ${folder}`);
  return 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    if (error instanceof HarnessError || error instanceof TypeError) console.error(`cluster: ${error.message}`);
    else console.error(error);
    process.exitCode = 1;
  },
);
