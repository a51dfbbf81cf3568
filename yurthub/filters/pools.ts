// Which node belongs to which pool, as far as filters need it.

export interface PoolMembership {
  /** Undefined for a node of no pool, and while nothing is known. */
  poolOf(nodeName: string): string | undefined;
}

/** By the status of NodePool objects, which name their nodes. */
export class NodePools implements PoolMembership {
  readonly #nodesByPool = new Map<string, readonly string[]>();
  #poolByNode = new Map<string, string>();

  poolOf(nodeName: string): string | undefined {
    return this.#poolByNode.get(nodeName);
  }

  /** True when a node's membership changed. */
  set(pool: string, nodes: readonly string[]): boolean {
    const before = this.#nodesByPool.get(pool);
    this.#nodesByPool.set(pool, nodes);
    if (before?.join() === nodes.join()) return false;
    this.#index();
    return true;
  }

  /** As above. */
  delete(pool: string): boolean {
    if (!this.#nodesByPool.delete(pool)) return false;
    this.#index();
    return true;
  }

  /** The first pool by name counts for a node that two of them name: every hub decides alike. */
  #index(): void {
    this.#poolByNode = new Map();
    for (const [pool, nodes] of [...this.#nodesByPool].sort(([a], [b]) => (a < b ? -1 : 1)))
      for (const node of nodes) if (!this.#poolByNode.has(node)) this.#poolByNode.set(node, pool);
  }
}
