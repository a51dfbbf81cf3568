// Nodes with kubelets and no containers: the kubelet's own code as kubemark runs it, all in one process, over a runtime that only
// pretends. Images whose tag is `bad` cannot be pulled.
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { binary } from './binaries.ts';
import { waitFor } from './commands.ts';
import type { ControlPlane } from './control-plane.ts';
import { kubeconfigText } from './kubeconfig.ts';
import { logTail } from './processes.ts';

/** As nobody: each kubelet takes one of the 128 inotify instances that a user of the host has. */
const nobody = 65_534;
const processName = 'hollow-nodes';

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
}
interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string };
    readonly status?: { readonly conditions?: readonly Condition[] };
  }[];
}

export class HollowNodes {
  readonly #plane: ControlPlane;
  readonly #names: readonly string[];
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'holdfast-hollow-'));

  private constructor(plane: ControlPlane, names: readonly string[]) {
    this.#plane = plane;
    this.#names = names;
  }

  /** The Nodes have to exist, with addresses; each kubelet has the certificate of its own. */
  static async start(plane: ControlPlane, names: readonly string[]): Promise<HollowNodes> {
    const nodes = new HollowNodes(plane, names);
    const folder = nodes.#folder;
    const program = path.join(folder, processName);
    copyFileSync(binary('hollow-nodes'), program);
    const own = path.join(folder, 'nodes');
    mkdirSync(own);
    for (const name of names) {
      const file = path.join(own, `${name}.kubeconfig`);
      const pair = plane.nodeCertificate(name);
      writeFileSync(file, kubeconfigText({ server: plane.url, ca: plane.ca, user: name, ...pair }), { mode: 0o400 });
      chownSync(file, nobody, nobody);
    }
    for (const each of [folder, own]) chownSync(each, nobody, nobody);
    const user = ['setpriv', `--reuid=${nobody}`, `--regid=${nobody}`, '--clear-groups', '--pdeathsig', 'KILL'];
    await plane.processes.start(processName, [...user, program, own], {
      logFile: plane.logFile(processName),
      env: { PATH: process.env['PATH'], TMPDIR: folder, HOME: folder },
      cwd: folder,
    });
    return nodes;
  }

  /** Each has been heard of: it is Ready by its own word. */
  async ready(deadlineMs: number): Promise<void> {
    let waiting: readonly string[] = this.#names;
    await waitFor(
      'the hollow nodes are Ready',
      async () => {
        this.#plane.processes.assertRunning(processName);
        const { items } = await this.#plane.request<NodeList>('GET', '/api/v1/nodes');
        const ready = new Set(
          items.filter(({ status }) => status?.conditions?.some(isByKubelet)).map(({ metadata }) => metadata.name),
        );
        waiting = this.#names.filter((name) => !ready.has(name));
        return waiting.length === 0;
      },
      {
        deadlineMs,
        everyMs: 500,
        context: () => `${waiting.length} are not, ${waiting[0]} for one\n${logTail(this.#plane.logFile(processName))}`,
      },
    );
  }

  async stop(): Promise<void> {
    await this.#plane.processes.stop(processName, 0);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

function isByKubelet({ type, status, reason }: Condition): boolean {
  return type === 'Ready' && status === 'True' && reason === 'KubeletReady';
}
