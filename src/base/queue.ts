// One piece of work at a time, in the order of arrival. Knows nothing about what the work is.

/** Work that must not overlap. A failed or aborted piece leaves the others alone. */
export class Queue {
  #last: Promise<unknown> = Promise.resolve();

  /** Does the work after everything that was added before. @throws what it throws, or the signal's reason */
  add<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const turn = this.#last.then(() => {
      signal.throwIfAborted();
      return work();
    });
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Resolves when everything that was added so far is over. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
