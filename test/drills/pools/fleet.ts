// A fleet of nodes in pools, as objects: what people do with it, by chance and the same each time, and what has to be there in the
// end. The fleet remembers only what people did; what controllers make of it is read from the API server and compared.
import type { ControlPlane } from '../../cluster/control-plane.ts';

export const poolLabel = 'apps.openyurt.io/nodepool';
export const pools = '/apis/apps.openyurt.io/v1beta2/nodepools';
const endpointSlices = '/apis/discovery.k8s.io/v1/namespaces/holdfast-pools/endpointslices';

export interface PoolObject {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string };
  readonly spec?: {
    readonly labels?: Record<string, string>;
    readonly taints?: readonly { readonly key: string; readonly value?: string }[];
  };
  readonly status?: {
    readonly readyNodeNum?: number;
    readonly unreadyNodeNum?: number;
    readonly nodes?: readonly string[];
  };
}
interface NodeObject {
  readonly metadata: {
    readonly name: string;
    readonly labels?: Record<string, string>;
    readonly annotations?: Record<string, string>;
  };
  readonly spec: { readonly taints?: readonly { readonly key: string; readonly value?: string }[] };
}
interface SliceObject {
  readonly metadata: { readonly name: string; readonly labels: Record<string, string> };
  readonly endpoints: readonly { readonly nodeName: string }[] | null;
}
interface List<T> {
  readonly items: readonly T[];
}

/** Of every pool of the fleet. */
export const fleetLabels = { fleet: 'yes' };

export class Fleet {
  readonly #plane: ControlPlane;
  readonly #poolNames: readonly string[];
  readonly #nodeNames: readonly string[];
  readonly #random: () => number;
  readonly #haveKubelets: boolean;
  /** The pool of each node as people placed it. */
  readonly #placed = new Map<string, string | undefined>();
  readonly #ready = new Set<string>();
  readonly #present = new Set<string>();
  #changes = 0;

  /** With `haveKubelets` these say what is ready, whatever chance would have them say. */
  constructor(
    plane: ControlPlane,
    size: { readonly pools: number; readonly nodes: number },
    random: () => number,
    { haveKubelets = false } = {},
  ) {
    this.#plane = plane;
    this.#random = random;
    this.#haveKubelets = haveKubelets;
    this.#poolNames = Array.from({ length: size.pools }, (_, i) => `site-${i}`);
    this.#nodeNames = Array.from({ length: size.nodes }, (_, i) => `node-${i}`);
  }

  get nodes(): number {
    return this.#nodeNames.length;
  }

  get nodeNames(): readonly string[] {
    return this.#nodeNames;
  }

  /** Those that people placed in a pool, sorted. */
  get nodesInPools(): readonly string[] {
    return this.#nodeNames.filter((name) => this.#placed.get(name) !== undefined).sort();
  }

  get poolNames(): readonly string[] {
    return this.#poolNames;
  }

  /** Nodes and pools, each node in a pool. */
  async make(): Promise<void> {
    for (const name of this.#poolNames) await this.#makePool(name);
    for (const [i, name] of this.#nodeNames.entries()) {
      const pool = this.#poolNames[i % this.#poolNames.length];
      // Each has something of its own under a key that pools set: it has to come back when the node leaves.
      const labels = { tier: `own-${i % 3}`, ...(pool === undefined ? {} : { [poolLabel]: pool }) };
      await this.#plane.request('POST', '/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name, labels },
      });
      await this.#plane.request('PATCH', `/api/v1/nodes/${name}/status`, {
        status: { addresses: [{ type: 'InternalIP', address: `10.20.${Math.floor(i / 250)}.${(i % 250) + 1}` }] },
      });
      this.#placed.set(name, pool);
      await this.#setReady(name, true);
    }
  }

  /** One thing that people do, or that happens to a node. */
  async disturb(): Promise<void> {
    const node = this.#any(this.#nodeNames);
    const pool = this.#any(this.#poolNames);
    const dice = this.#random();
    if (dice < 0.45) await this.place(node, pool);
    else if (dice < 0.55) await this.place(node, undefined);
    else if (dice < 0.75) await this.#setReady(node, !this.#ready.has(node));
    else if (dice < 0.9) await this.#changePool(pool);
    else if (this.#present.has(pool)) await this.vanish(pool);
    else await this.#makePool(pool);
  }

  /** All pools are there again, as at the end of an incident. */
  async mend(): Promise<void> {
    for (const name of this.#poolNames) if (!this.#present.has(name)) await this.#makePool(name);
  }

  async place(node: string, pool: string | undefined): Promise<void> {
    const labels = { [poolLabel]: pool ?? null };
    await this.#plane.request('PATCH', `/api/v1/nodes/${node}`, { metadata: { labels } });
    this.#placed.set(node, pool);
  }

  /** By force: somebody takes the finalizer off, and the object is gone with its nodes in place. */
  async vanish(pool: string): Promise<void> {
    const policy =
      '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/holdfast-node-pool-deletion';
    const isRefused = async (): Promise<boolean> =>
      (await this.#plane.rawRequest('DELETE', `${pools}/${pool}`)).status === 403;
    if (await isRefused()) {
      // What is refused to people is not refused to whoever may change the policy.
      await this.#plane.rawRequest('PATCH', policy, { spec: { validationActions: ['Warn'] } });
      while (await isRefused()) await new Promise((resolve) => setTimeout(resolve, 100));
    }
    // The controllers may put it on again as long as the pool is not being deleted.
    for (;;) {
      const patch = { metadata: { finalizers: null } };
      const { status } = await this.#plane.rawRequest('PATCH', `${pools}/${pool}`, patch);
      if (status === 404 || (await this.#plane.rawRequest('GET', `${pools}/${pool}`)).status === 404) break;
    }
    this.#present.delete(pool);
  }

  /** What is not as it should be, each as a line; none when all is exact. */
  async problems(): Promise<string[]> {
    const [nodes, all, slices] = await Promise.all([
      this.#plane.request<List<NodeObject>>('GET', '/api/v1/nodes'),
      this.#plane.request<List<PoolObject>>('GET', pools),
      this.#plane.request<List<SliceObject>>('GET', endpointSlices),
    ]);
    const ours = all.items.filter(({ metadata }) => this.#poolNames.includes(metadata.name));
    const byName = new Map(ours.map((pool) => [pool.metadata.name, pool]));
    return [
      ...this.#poolNames.flatMap((name) => this.#poolProblems(name, byName.get(name))),
      ...nodes.items
        .filter(({ metadata }) => this.#placed.has(metadata.name))
        .flatMap((node, i) => this.#nodeProblems(node, byName, i)),
      ...this.#sliceProblems(slices.items),
    ];
  }

  #members(pool: string): string[] {
    return this.#nodeNames.filter((name) => this.#placed.get(name) === pool).sort();
  }

  #poolProblems(name: string, pool: PoolObject | undefined): string[] {
    if (pool === undefined) return this.#present.has(name) ? [`pool ${name} is missing`] : [];
    const members = this.#members(name);
    const ready = members.filter((member) => this.#ready.has(member)).length;
    const { readyNodeNum, unreadyNodeNum, nodes = [] } = pool.status ?? {};
    const said = `${nodes.join()} ${readyNodeNum}/${unreadyNodeNum}`;
    const wanted = `${members.join()} ${ready}/${members.length - ready}`;
    return said === wanted ? [] : [`pool ${name} says ${said}, should say ${wanted}`];
  }

  #nodeProblems({ metadata, spec }: NodeObject, byName: ReadonlyMap<string, PoolObject>, _at: number): string[] {
    const { name } = metadata;
    const pool = byName.get(this.#placed.get(name) ?? '');
    const own = `own-${this.#nodeNames.indexOf(name) % 3}`;
    const wanted = { tier: pool?.spec?.labels?.['tier'] ?? own, site: pool?.spec?.labels?.['site'] };
    const labels = { tier: metadata.labels?.['tier'], site: metadata.labels?.['site'] };
    const taintsOf = (taints: NodeObject['spec']['taints']): string =>
      (taints ?? [])
        .filter(({ key }) => key === 'site')
        .map(({ value }) => value)
        .join();
    const problems =
      JSON.stringify(labels) === JSON.stringify(wanted)
        ? []
        : [`node ${name} has ${JSON.stringify(labels)}, should have ${JSON.stringify(wanted)}`];
    if (taintsOf(spec.taints) !== taintsOf(pool?.spec?.taints))
      problems.push(
        `node ${name} has the taints ${taintsOf(spec.taints)}, should have ${taintsOf(pool?.spec?.taints)}`,
      );
    if (pool === undefined && metadata.annotations?.['holdfast.dev/pool-attributes'] !== undefined)
      problems.push(`node ${name} of no pool still has a record`);
    return problems;
  }

  #sliceProblems(slices: readonly SliceObject[]): string[] {
    return this.#poolNames.flatMap((pool) => {
      const own = slices.filter(({ metadata }) => metadata.labels['holdfast.dev/pool'] === pool);
      const named = own
        .flatMap(({ endpoints }) => endpoints ?? [])
        .map(({ nodeName }) => nodeName)
        .sort();
      const wanted = this.#present.has(pool) ? this.#members(pool) : [];
      if (!this.#present.has(pool) && own.length > 0) return [`pool ${pool} is gone and has slices`];
      return named.join() === wanted.join()
        ? []
        : [`slices of ${pool} name ${named.join()}, should name ${wanted.join()}`];
    });
  }

  async #makePool(name: string): Promise<void> {
    const metadata = { name, labels: fleetLabels };
    const kind = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
    await this.#plane.request('POST', pools, { ...kind, metadata, spec: { type: 'Edge', ...this.#attributes(name) } });
    this.#present.add(name);
  }

  async #changePool(name: string): Promise<void> {
    if (!this.#present.has(name)) return;
    await this.#plane.request('PATCH', `${pools}/${name}`, { spec: this.#attributes(name) });
  }

  #attributes(name: string): object {
    this.#changes += 1;
    const tier = this.#random() < 0.5 ? { tier: `given-${this.#changes}` } : { tier: null };
    const taints = this.#random() < 0.5 ? [{ key: 'site', value: name, effect: 'NoSchedule' }] : [];
    const labels = Object.fromEntries(
      Object.entries({ site: name, ...tier }).filter(([, value]) => value !== null || this.#present.has(name)),
    );
    return { labels, taints };
  }

  async #setReady(name: string, ready: boolean): Promise<void> {
    const conditions = [{ type: 'Ready', status: ready ? 'True' : 'Unknown', reason: 'Drill', message: '' }];
    await this.#plane.request('PATCH', `/api/v1/nodes/${name}/status`, { status: { conditions } });
    if (ready || this.#haveKubelets) this.#ready.add(name);
    else this.#ready.delete(name);
  }

  #any<T>(of: readonly T[]): T {
    return of[Math.floor(this.#random() * of.length)]!;
  }
}

/** The same sequence for the same seed: what failed can be played again. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
