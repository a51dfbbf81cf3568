// One writer for the store: calls made while a batch is being written become the next batch, with no timer. Other work
// that must not overlap a batch (reopening, clearing a prefix) takes its turn in the same queue.
import type { Durability, StoreOp } from '../types.ts';

export interface WriteCall {
  readonly ops: readonly StoreOp[];
  readonly durability: Durability;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

type Turn = WriteCall | { readonly task: () => Promise<void> };

/** A batch takes whole calls until it holds this much, so that a burst of lists does not become one huge allocation. */
const maxBatchBytes = 4 * 1024 * 1024;

export class GroupCommit {
  readonly #commit: (calls: readonly WriteCall[]) => Promise<void>;
  #queue: Turn[] = [];
  #running: Promise<void> | undefined;

  /** `commit` settles every call that it is given and never rejects. */
  constructor(commit: (calls: readonly WriteCall[]) => Promise<void>) {
    this.#commit = commit;
  }

  write(ops: readonly StoreOp[], durability: Durability): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ ops, durability, resolve, reject });
      this.#start();
    });
  }

  /** Runs `task` alone, after what was queued before it; with `first`, before it. */
  exclusive<T>(task: () => Promise<T>, options: { first: boolean } = { first: false }): Promise<T> {
    return new Promise((resolve, reject) => {
      const turn = { task: () => task().then(resolve, reject) };
      if (options.first) this.#queue.unshift(turn);
      else this.#queue.push(turn);
      this.#start();
    });
  }

  /** Settles when nothing is queued or being written. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    await Promise.resolve(); // the other calls of this tick join the first batch
    for (;;) {
      const turns = this.#queue;
      const head = turns[0];
      if (head === undefined) {
        this.#running = undefined; // in the same step as the look into the queue, or a call made in between would wait for ever
        return;
      }
      if ('task' in head) {
        turns.shift();
        await head.task();
        continue;
      }
      const calls: WriteCall[] = [];
      let bytes = 0;
      for (const turn of turns) {
        if ('task' in turn || bytes >= maxBatchBytes) break;
        calls.push(turn);
        for (const op of turn.ops) bytes += op.key.length + (op.type === 'put' ? op.value.byteLength : 0);
      }
      this.#queue = turns.slice(calls.length);
      await this.#commit(calls);
    }
  }
}
