// Writes that go on while a link is cut and healed: objects come, change, join and leave a selection, go, and come again
// under the same name.
import type { ControlPlane } from '../cluster/control-plane.ts';

export const selectedLabels = 'side=in';

/** A generator of numbers in [0, 1) that gives the same for the same seed (mulberry32), so that a failure can be had again. */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class RandomWrites {
  readonly #plane: ControlPlane;
  readonly #target: string;
  readonly #random: () => number;
  readonly #names: readonly string[];
  readonly #present = new Set<string>();
  #count = 0;
  #task: (() => Promise<void>) | undefined;

  constructor(plane: ControlPlane, namespace: string, random: () => number) {
    this.#plane = plane;
    this.#target = `/api/v1/namespaces/${namespace}/configmaps`;
    this.#random = random;
    this.#names = Array.from({ length: 40 }, (_none, index) => `object-${index}`);
  }

  /** Writes until aborted, a few milliseconds apart. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.some(1);
      if (this.#task !== undefined) {
        const task = this.#task;
        this.#task = undefined;
        await task();
      } else await new Promise((resolve) => setTimeout(resolve, 5 + this.#random() * 25));
    }
  }

  /** While `run` runs: does something between two writes; resolves when it is done. */
  async between(task: () => Promise<void>): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#task = async () => {
        await task().then(resolve, reject);
      };
    });
  }

  /** That many writes, without a pause. */
  async some(count: number): Promise<void> {
    for (let done = 0; done < count; done += 1) await this.#one();
  }

  /** An object that is written after all others; resolves with its name. */
  async last(): Promise<string> {
    await this.#create('the-last');
    return 'the-last';
  }

  async #one(): Promise<void> {
    const name = this.#names[Math.floor(this.#random() * this.#names.length)] ?? '';
    this.#count += 1;
    if (!this.#present.has(name)) {
      await this.#create(name);
      this.#present.add(name);
      return;
    }
    const dice = this.#random();
    if (dice < 0.2) {
      await this.#plane.request('DELETE', `${this.#target}/${name}`);
      this.#present.delete(name);
    } else await this.#patch(name, dice < 0.6 ? { data: { count: `${this.#count}` } } : this.#otherSide());
  }

  async #create(name: string): Promise<void> {
    const side = name === 'the-last' ? { metadata: { labels: { side: 'in' } } } : this.#otherSide();
    await this.#plane.request('POST', this.#target, { ...side, metadata: { name, ...side.metadata } });
  }

  async #patch(name: string, change: object): Promise<void> {
    const options = { contentType: 'application/merge-patch+json' };
    await this.#plane.request('PATCH', `${this.#target}/${name}`, change, options);
  }

  #otherSide(): { metadata: { labels: { side: string } } } {
    return { metadata: { labels: { side: this.#random() < 0.5 ? 'in' : 'out' } } };
  }
}
