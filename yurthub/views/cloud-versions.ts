// The version that the cloud is at, asked once for each kind of resource after a loss and not once for each view: a kubelet
// of 30 pods has 60 views of single ConfigMaps and Secrets, which all come back at the same time. By resource, because an
// API server may keep some in an etcd of their own, with versions of its own.
import type { ViewKey } from '../types.ts';

type Resource = Pick<ViewKey, 'group' | 'resource'>;

export class CloudVersions {
  readonly #asked = new Map<string, Promise<string | undefined>>();

  /**
   * To be called when a stream to the cloud is lost. What was asked before says nothing about the cloud that comes back,
   * and a view that was lost later may have been ahead of it rightly.
   */
  lost(): void {
    this.#asked.clear();
  }

  /** What the first who asks since the last loss was told; undefined when `ask` gives none. Never rejects. */
  async current(of: Resource, ask: () => Promise<string | undefined>): Promise<string | undefined> {
    const key = `${of.group}/${of.resource}`;
    for (let asked = this.#asked.get(key); asked !== undefined; asked = this.#asked.get(key)) {
      const told = await asked;
      if (told !== undefined) return told;
      // Who asked was refused, or has left: the next one does.
      if (this.#asked.get(key) === asked) this.#asked.delete(key);
    }
    const asked = ask().catch(() => undefined);
    this.#asked.set(key, asked);
    return await asked;
  }
}
