// What all parts of the kubeadm drill stand on: a cluster, the archive unpacked on a node as a user would, an application on
// that node with a Service, and a client in a pod beside it that counts what it gets.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Minor } from '../../cluster/binaries.ts';
import { runFully, waitFor } from '../../cluster/commands.ts';
import type { RunResult } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { KubeadmCluster } from '../../cluster/kubeadm/kubeadm-cluster.ts';
import type { KubeadmMachine } from '../../cluster/kubeadm/kubeadm-machine.ts';
import { create } from '../../cluster/manifest.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { deadlineFor, type DrillContext } from '../drill.ts';
import { hubManifests } from '../hub-manifests.ts';
import { expectThat, type Report } from '../report.ts';
import { applicationManifests } from './application.ts';

/** As a user's shell would have it: neither Node.js on the path nor a variable of this process. */
export const bareEnvironment = ['env', '-i', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
export const applicationImage = `${registryName}/busybox:1`;
/** On the node; hostPath of the client's pod. */
export const clientFolder = '/var/lib/drill-client';
export const unpackedIn = '/var/lib/unpacked';
const nodeName = 'a1';

interface Release {
  archive: string;
  image: string;
}

interface Pod {
  metadata: { name: string; uid: string; labels?: Record<string, string>; deletionTimestamp?: string };
  status?: {
    conditions?: { type: string; status: string }[];
    containerStatuses?: { containerID?: string; restartCount: number; state?: { running?: { startedAt: string } } }[];
  };
}

export class Stage {
  readonly quick: boolean;
  readonly report: Report;
  readonly cluster: KubeadmCluster;
  readonly node: KubeadmMachine;
  /** The unpacked archive, on the node. */
  readonly folder: string;
  /** The command in it. */
  readonly command: string;
  /** The release's archive and container image, as files of the host. */
  readonly archive: string;
  readonly image: string;

  private constructor(context: DrillContext, cluster: KubeadmCluster, folder: string, release: Release) {
    this.quick = context.quick;
    this.report = context.report;
    this.cluster = cluster;
    this.node = cluster.machine(nodeName);
    this.folder = folder;
    this.command = `${folder}/bin/holdfast`;
    this.archive = release.archive;
    this.image = release.image;
  }

  /** `minor`: of Kubernetes, what the cluster begins with. */
  static async build(context: DrillContext, minor: Minor = '1.34'): Promise<Stage> {
    const { report } = context;
    const release = await makeRelease();
    // The second node is at another site, with the same address.
    const nodes = context.quick ? { [nodeName]: { lan: 7 } } : { [nodeName]: { lan: 7 }, b1: { lan: 7 } };
    const cluster = await KubeadmCluster.up({ nodes, minor, say: (line) => report.say(line) });
    context.defer(() => cluster.down());
    for (const { name } of [cluster.controlPlane, ...cluster.nodes]) {
      context.keepLogs(path.join(cluster.dir, 'nodes', name, 'log'));
      context.keepLogs(cluster.machine(name).file('/var/log/units'));
    }
    const node = cluster.machine(nodeName);
    await node.enter(['mkdir', '-p', unpackedIn]);
    await node.enter(['tar', '-xzf', release.archive, '-C', unpackedIn]);
    const folder = (await node.enter(['ls', unpackedIn])).trim();
    const stage = new Stage(context, cluster, `${unpackedIn}/${folder}`, release);
    await create(cluster.api, hubManifests([]));
    mkdirSync(node.file(clientFolder), { recursive: true });
    await create(
      cluster.api,
      applicationManifests({ namespace: 'default', node: nodeName, clientFolder, image: applicationImage }),
    );
    await stage.podsAreReady();
    await waitFor('the client is served', () => stage.counted().served > 0, { deadlineMs: 180_000, everyMs: 100 });
    return stage;
  }

  holdfast(
    args: readonly string[],
    program = this.command,
    env: readonly string[] = [],
    machine = this.node,
  ): Promise<RunResult> {
    return runFully(machine.enterArgv([...bareEnvironment, ...env, program, ...args]), {
      mayFail: true,
      timeoutMs: 180_000,
    });
  }

  /** Runs convert or revert, which has to succeed; what it said, as JSON. */
  async succeed(
    args: readonly string[],
    program = this.command,
    machine = this.node,
  ): Promise<{ seconds: number; kubeletDownSeconds?: number }> {
    const { code, stdout, stderr } = await this.holdfast([...args, '--output', 'json'], program, [], machine);
    expectThat(code === 0, `holdfast ${args.join(' ')} ended with ${code}:\n${stdout}${stderr}`);
    return JSON.parse(stdout) as { seconds: number; kubeletDownSeconds?: number };
  }

  /**
   * What must be the same before a conversion and after a reversion: names, modes, owners, link targets and digests of everything
   * in the folders that a node's configuration, its units and our program are in.
   */
  async snapshot(machine = this.node): Promise<string> {
    const places =
      'etc/kubernetes etc/systemd usr/lib/systemd etc/default etc/cni usr/local/bin opt etc/holdfast var/lib/holdfast ' +
      'run/holdfast run/holdfast-node.env var/lib/kubelet/config.yaml var/lib/kubelet/kubeadm-flags.env';
    const script = `cd / && find ${places} -printf '%p %y %m %U %G %l\\n' 2>/dev/null | sort; find ${places} -type f -exec sha256sum {} + 2>/dev/null | sort -k 2`;
    return machine.enter(['sh', '-c', script]);
  }

  async expectSame(before: string, machine = this.node): Promise<string> {
    const after = await this.snapshot(machine);
    const lines = (text: string): Set<string> => new Set(text.split('\n'));
    const [old, now] = [lines(before), lines(after)];
    const changes = [
      ...[...old].filter((line) => !now.has(line)).map((line) => `- ${line}`),
      ...[...now].filter((line) => !old.has(line)).map((line) => `+ ${line}`),
    ];
    expectThat(changes.length === 0, `the node is not as it was:\n${changes.join('\n')}`);
    return `${old.size} files, folders and links are the same`;
  }

  /** Requests of the client on a node so far, since its container was started. */
  counted(machine = this.node): { served: number; failed: number } {
    const file = machine.file(`${clientFolder}/count`);
    const [served = 0, failed = 0] = existsSync(file) ? readFileSync(file, 'utf8').split(' ').map(Number) : [];
    return { served, failed };
  }

  /** Before the client begins anew, with the node off. */
  forgetCount(): void {
    rmSync(this.node.file(`${clientFolder}/count`), { force: true });
  }

  /** Pods of an application and its client, by the cloud. */
  async pods(namespace = 'default'): Promise<Pod[]> {
    const list = await this.cluster.api.request<{ items: Pod[] }>('GET', `/api/v1/namespaces/${namespace}/pods`);
    return list.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  async containers(namespace = 'default'): Promise<string> {
    const pods = await this.pods(namespace);
    return pods
      .flatMap(({ metadata, status }) =>
        (status?.containerStatuses ?? []).map(
          ({ containerID, restartCount }) => `${metadata.name} ${containerID} ${restartCount}`,
        ),
      )
      .sort()
      .join('\n');
  }

  async podsAreReady(namespace = 'default'): Promise<void> {
    await waitFor(
      'the pods are Ready',
      async () => {
        const pods = await this.pods(namespace);
        return pods.length === 3 && pods.every(isReady);
      },
      { deadlineMs: 180_000, everyMs: 200 },
    );
  }

  /** What the node itself says, by the hub's kubeconfig for people. */
  async localPods(): Promise<Pod[]> {
    const kubeconfig = '/var/lib/holdfast/kubectl.kubeconfig';
    const text = await this.node.enter([
      'kubectl',
      '--kubeconfig',
      kubeconfig,
      'get',
      'pods',
      '-n',
      'default',
      '-o',
      'json',
    ]);
    return (JSON.parse(text) as { items: Pod[] }).items;
  }

  figure(seconds: number): number {
    return deadlineFor(this, seconds * 1_000) / 1_000;
  }
}

export function isReady({ status }: Pod): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
}

/** As npm run release makes them, for this machine; of another version beside them. */
export async function makeRelease(version?: string): Promise<Release> {
  const root = projectRoot();
  const other = version === undefined ? [] : ['--version', version, '--out', path.join(root, 'dist', 'release-other')];
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [path.join(root, 'tools', 'release.mjs'), '--arch', process.arch, ...other],
    { cwd: root },
  );
  const files = stdout.split('\n').map((line) => path.join(root, line.split(/\s/)[0] ?? ''));
  const ending = (end: string): string => files.find((file) => file.endsWith(end)) ?? '';
  return { archive: ending('.tar.gz'), image: ending('.tar') };
}
