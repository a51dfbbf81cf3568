// Work that must not overlap: each task starts when the one before it has settled.
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    // The caller hears of a failure; the next task starts all the same.
    this.#last = result.catch(() => undefined);
    return result;
  }
}
