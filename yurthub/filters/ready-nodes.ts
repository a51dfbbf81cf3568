// On which nodes a Service has ready endpoints, over all its slices: with more than a hundred endpoints it has several, and
// what is near in one of them makes what is far in the others superfluous.

export class ReadyNodes {
  /** By Service and address type: the nodes of each slice. */
  readonly #groups = new Map<string, Map<string, readonly string[]>>();
  readonly #groupOf = new Map<string, string>();

  /** `group` names a Service and an address type, `slice` a slice with its namespace. */
  set(group: string, slice: string, nodes: readonly string[]): void {
    if (this.#groupOf.get(slice) !== group) this.remove(slice);
    this.#groupOf.set(slice, group);
    const slices = this.#groups.get(group) ?? new Map<string, readonly string[]>();
    this.#groups.set(group, slices.set(slice, nodes));
  }

  /** The group of the slice that is gone; undefined when it is not known. */
  remove(slice: string): string | undefined {
    const group = this.#groupOf.get(slice);
    if (group === undefined) return undefined;
    this.#groupOf.delete(slice);
    const slices = this.#groups.get(group);
    slices?.delete(slice);
    if (slices?.size === 0) this.#groups.delete(group);
    return group;
  }

  /** Of all slices; a node may come more than once. */
  of(group: string): string[] {
    return [...(this.#groups.get(group)?.values() ?? [])].flat();
  }
}
