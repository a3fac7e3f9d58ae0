// Waiting that ends. Layer 0: imports nothing.

/**
 * Settles as `promise` does, or rejects with what `late` makes once that has taken `ms`.
 *
 * The work behind `promise` is not stopped by this; a later failure of it is not reported again.
 */
export function withDeadline<T>(
  promise: PromiseLike<T>,
  ms: number,
  late: () => Error,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), ms);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      settle();
    };
    promise.then(
      (value) => finish(() => resolve(value)),
      (error: unknown) => finish(() => reject(error)),
    );
  });
}
