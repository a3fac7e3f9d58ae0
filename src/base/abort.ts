// Waiting that can be given up. Layer 0: imports nothing.

/**
 * Settles as `promise` does, or rejects with the signal's own reason as soon as that aborts.
 *
 * The work behind `promise` is not stopped by this; a later failure of it is not reported again.
 */
export function abortable<T>(promise: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => reject(signal.reason);
    const finish = (settle: () => void): void => {
      signal.removeEventListener("abort", giveUp);
      settle();
    };
    promise.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
    if (signal.aborted) giveUp();
    else signal.addEventListener("abort", giveUp, { once: true });
  });
}
