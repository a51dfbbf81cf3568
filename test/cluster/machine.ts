// A machine of a cluster: namespaces, a network port and a cgroup of its own on this one. Process 1 is a shell that only waits,
// so that killing it is a power cut. What runs on it, and which folders are its own, is the business of those who extend it.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import { createCgroup, removeCgroup } from './cgroups.ts';
import { run, runFully, waitFor } from './commands.ts';
import type { RunOptions } from './commands.ts';
import { HarnessError } from './errors.ts';
import { writeImage } from './images.ts';
import type { ImageSpec } from './images.ts';
import { createNodeNamespace } from './network.ts';
import type { Site } from './network.ts';
import { logTail } from './processes.ts';
import type { ProcessTable } from './processes.ts';
import { projectRoot } from './project-root.ts';

export interface MachineParts {
  processes: ProcessTable;
  site: Site;
}

export interface MachineSettings {
  name: string;
  clusterNumber: number;
  /** Everything that the machine keeps. */
  folder: string;
  /** Folders of the node that are disks of their own, so that a power cut can lose what was not synced: path, MiB. */
  disks?: Readonly<Record<string, number>>;
}

export class Machine {
  readonly name: string;
  readonly site: Site;
  protected readonly processes: ProcessTable;
  readonly #settings: MachineSettings;
  readonly #initScript: string;

  /** `initScript`: what process 1 runs, in the checkout, with the machine's name and folder as arguments. */
  constructor(parts: MachineParts, settings: MachineSettings, initScript: string) {
    this.name = settings.name;
    this.site = parts.site;
    this.processes = parts.processes;
    this.#settings = settings;
    this.#initScript = initScript;
  }

  /** An empty machine: process 1 and the network, no containerd and no kubelet. */
  async boot(): Promise<void> {
    await this.connect();
    createCgroup(this.site.nodeNamespace);
    const namespace = `--net=/run/netns/${this.site.nodeNamespace}`;
    const unshare = ['unshare', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=SIGKILL'];
    const script = path.join(projectRoot(), this.#initScript);
    await this.processes.start(
      this.processName('init'),
      ['nsenter', namespace, ...unshare, 'bash', script, this.name, this.#settings.folder],
      { logFile: this.logFile('init'), forks: true },
    );
    await waitFor(
      `${this.name} boots`,
      () => {
        this.processes.assertRunning(this.processName('init'));
        return existsSync(this.runFile('/run/booted'));
      },
      { deadlineMs: 60_000, everyMs: 10, context: () => logTail(this.logFile('init')) },
    );
    for (const [folder, mebibytes] of Object.entries(this.#settings.disks ?? {}))
      await this.#mountDisk(folder, mebibytes);
  }

  /** Kills process 1: the kernel ends containers, containerd, kubelet and whatever else ran, and forgets the mounts. */
  async powerOff(): Promise<void> {
    await this.processes.stop(this.processName('init'), 0);
    for (const name of this.processes.names()) {
      if (!name.startsWith(`${this.name}.`) || name === this.processName('wanqueue')) continue;
      await this.processes.stop(name, 0);
    }
    await removeCgroup(this.site.nodeNamespace);
  }

  /**
   * As powerOff, but what was not synced to a disk of `disks` is lost as well. The disks go first and in one step, as
   * if the power had failed at this moment.
   */
  async powerFailure(): Promise<void> {
    for (const folder of Object.keys(this.#settings.disks ?? {})) {
      // EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH: neither data nor journal is written any more.
      const script = 'open(D,"<",$ARGV[0]) or die $!; my $f=pack("L",2); ioctl(D,0x8004587d,$f) or die $!';
      await this.enter(['perl', '-e', script, folder]);
    }
    await this.powerOff();
  }

  get isOn(): boolean {
    return this.processes.running(this.processName('init')) !== undefined;
  }

  async startContainerd(): Promise<void> {
    await this.startProcess('containerd', ['containerd', '--config', '/etc/containerd/config.toml']);
    await waitFor(
      `containerd of ${this.name} answers`,
      async () => {
        this.processes.assertRunning(this.processName('containerd'));
        if (!existsSync(this.runFile('/run/containerd/containerd.sock'))) return false;
        return (await this.ctr(['version'])) !== '';
      },
      { deadlineMs: 180_000, everyMs: 50, context: () => logTail(this.logFile('containerd')) },
    );
  }

  /** Starts a program on the node, in all its namespaces; its log is `logFile(name)`. Lives until stopped or power off. */
  async startProcess(name: string, argv: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
    const command = settings.length > 0 ? ['env', ...settings, ...argv] : argv;
    await this.processes.start(this.processName(name), this.enterArgv(command), {
      logFile: this.logFile(name),
      cwd: '/',
      forks: true,
    });
  }

  /** TERM, and KILL after `graceMs`. */
  async stopProcess(name: string, graceMs = 10_000): Promise<void> {
    await this.processes.stop(this.processName(name), graceMs);
  }

  async kill9(name: string): Promise<void> {
    await this.stopProcess(name, 0);
  }

  signalProcess(name: string, signal: NodeJS.Signals): void {
    this.processes.signal(this.processName(name), signal);
  }

  /** Seen from the machine, so that /proc/PID of it can be read; undefined if it does not run. */
  processId(name: string): number | undefined {
    return this.processes.running(this.processName(name))?.pid;
  }

  /** SIGKILL to every container process and pause process; containerd and the kubelet stay. */
  async killContainers(): Promise<void> {
    const tasks = await this.ctr(['-n', 'k8s.io', 'tasks', 'list']);
    const pids = [...tasks.matchAll(/^\S+\s+(\d+)\s+RUNNING/gm)].map((match) => match[1] ?? '');
    if (pids.length > 0) await runFully(this.enterArgv(['kill', '-9', ...pids]), { mayFail: true }); // some may be gone
  }

  /** Runs a command on the node to its end and returns its standard output. */
  enter(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return run(this.enterArgv(argv), options);
  }

  /** The command line that enters the node, for programs that need a terminal. */
  enterArgv(argv: readonly string[]): string[] {
    const pid = this.processId('init');
    if (pid === undefined) throw new HarnessError('NO_NODE', `${this.name} is off`);
    return ['nsenter', `--target=${pid}`, '--mount', '--pid', '--net', '--uts', '--ipc', '--', ...argv];
  }

  /** A unix socket on this machine that leads to a TCP port on the node's loopback. Open again after a boot. */
  async openPort(port: number): Promise<string> {
    const socket = path.join(this.#settings.folder, `port-${port}.sock`);
    const name = this.processName(`port-${port}`);
    if (this.processes.running(name)) {
      await this.#accepts(socket);
      return socket;
    }
    rmSync(socket, { force: true });
    const script = path.join(projectRoot(), 'test', 'cluster', 'port-relay.ts');
    const namespace = `--net=/run/netns/${this.site.nodeNamespace}`;
    const argv = [
      'nsenter',
      namespace,
      'setpriv',
      '--pdeathsig',
      'KILL',
      process.execPath,
      script,
      socket,
      String(port),
    ];
    await this.processes.start(name, argv, { logFile: this.logFile(`port-${port}`) });
    await this.#accepts(socket);
    return socket;
  }

  /** A socket stands in its folder a moment before connections to it are taken. */
  async #accepts(socket: string): Promise<void> {
    await waitFor(`${socket} takes connections`, () => connects(socket), { deadlineMs: 60_000, everyMs: 10 });
  }

  ctr(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.enter(['ctr', ...args], options);
  }

  /** An image for the kubelet's pods, without a registry. containerd has to run. */
  async importImage(image: ImageSpec): Promise<void> {
    const archive = writeImage(image, path.join(path.dirname(this.#settings.folder), 'images'));
    await this.ctr(['-n', 'k8s.io', 'images', 'import', archive]);
  }

  /** Runs a command in a running container of a pod, as `kubectl exec` would, without API server and kubelet. */
  async execInPod(podUid: string, container: string, argv: readonly string[]): Promise<string> {
    const labels = [
      `labels."io.kubernetes.pod.uid"==${podUid}`,
      `labels."io.kubernetes.container.name"==${container}`,
      'labels."io.cri-containerd.kind"==container',
    ];
    const ids = (await this.ctr(['-n', 'k8s.io', 'containers', 'list', '-q', labels.join(',')]))
      .split('\n')
      .filter(Boolean);
    const running = await this.ctr(['-n', 'k8s.io', 'tasks', 'list']);
    const id = ids.find((candidate) => new RegExp(`^${candidate}\\s+\\d+\\s+RUNNING`, 'm').test(running));
    if (id === undefined) throw new HarnessError('COMMAND_FAILED', `${container} of pod ${podUid} does not run`);
    const execId = `exec-${process.pid}-${Math.random().toString(36).slice(2)}`;
    return this.ctr(['-n', 'k8s.io', 'tasks', 'exec', '--exec-id', execId, id, ...argv]);
  }

  /** The machine's path of a file as the running node sees it, for example below /run. */
  runFile(insidePath: string): string {
    return `/proc/${this.processId('init') ?? 0}/root${insidePath}`;
  }

  logFile(name: string): string {
    return path.join(this.#settings.folder, 'log', `${name}.log`);
  }

  readLog(name: string): string {
    return existsSync(this.logFile(name)) ? readFileSync(this.logFile(name), 'utf8') : '';
  }

  async #mountDisk(folder: string, mebibytes: number): Promise<void> {
    const image = path.join(this.#settings.folder, 'disks', `${folder.replaceAll('/', '_')}.ext4`);
    if (!existsSync(image)) {
      mkdirSync(path.dirname(image), { recursive: true });
      await run(['truncate', '-s', `${mebibytes}M`, image]);
      await run(['mkfs.ext4', '-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', image]);
    }
    // The loop device is freed with the mount, and the mount with the node's mount namespace.
    await this.enter(['mkdir', '-p', folder]);
    await this.enter(['mount', '-o', 'loop', image, folder]);
  }

  /** A fresh network namespace, as after a boot. */
  protected async connect(): Promise<void> {
    await createNodeNamespace(this.site);
  }

  protected processName(name: string): string {
    return `${this.name}.${name}`;
  }
}

function connects(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  });
}
