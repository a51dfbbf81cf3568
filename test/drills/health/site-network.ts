// A switch between the nodes of one site: they reach each other by their own addresses, and each other's pods, whatever becomes of
// the way to the cloud. It is a bridge in a namespace of its own, with a cable to each node.
import { inNamespace } from '../../cluster/network.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { run, runFully } from '../../cluster/commands.ts';

export class SiteNetwork {
  readonly #namespace: string;
  readonly #nodes: readonly EdgeNode[];

  /** `name`: of the site; sites know nothing of each other, so that their addresses may be the same. */
  constructor(clusterNumber: number, name: string, nodes: readonly EdgeNode[]) {
    this.#namespace = `hf${clusterNumber}-site-${name}`;
    this.#nodes = nodes;
  }

  /** The switch, and a cable to each node. */
  async build(): Promise<void> {
    await this.remove();
    await run(['ip', 'netns', 'add', this.#namespace]);
    await run(['ip', '-n', this.#namespace, 'link', 'add', 'switch', 'type', 'bridge']);
    await run(['ip', '-n', this.#namespace, 'link', 'set', 'switch', 'up']);
    for (const node of this.#nodes) await this.connect(node);
  }

  /** To be called again after a node has booted: its namespace is another one then. */
  async connect(node: EdgeNode): Promise<void> {
    const at = this.#nodes.indexOf(node) + 1;
    const port = `port${at}`;
    await runFully(['ip', '-n', this.#namespace, 'link', 'del', port], { mayFail: true }); // gone with the node
    const { nodeNamespace } = node.site;
    await run([
      'ip',
      '-n',
      this.#namespace,
      ...`link add ${port} type veth peer name site0 netns ${nodeNamespace}`.split(' '),
    ]);
    await run(['ip', '-n', this.#namespace, 'link', 'set', port, 'master', 'switch', 'up']);
    await run(['ip', '-n', nodeNamespace, 'address', 'add', `${this.#address(at)}/24`, 'dev', 'site0']);
    await run(['ip', '-n', nodeNamespace, 'link', 'set', 'site0', 'up']);
    for (const [index, other] of this.#nodes.entries()) {
      if (other === node) continue;
      const via = ['via', this.#address(index + 1), 'dev', 'site0'];
      const routes = [`${other.site.nodeAddress}/32`, other.site.podCidr];
      for (const route of routes)
        await inNamespace(nodeNamespace, ['ip', 'route', 'replace', route, ...via, 'src', node.site.nodeAddress]);
    }
  }

  /** Pulls the cable of a node, or puts it back. */
  async plug(node: EdgeNode, isIn: boolean): Promise<void> {
    const port = `port${this.#nodes.indexOf(node) + 1}`;
    await run(['ip', '-n', this.#namespace, 'link', 'set', port, isIn ? 'up' : 'down']);
  }

  async remove(): Promise<void> {
    await runFully(['ip', 'netns', 'del', this.#namespace], { mayFail: true });
  }

  #address(at: number): string {
    return `172.30.99.${at}`;
  }
}
