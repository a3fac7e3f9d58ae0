// Questions to a browser that may fail or never be answered, and whose answer is a hint only.

/** What `ask` resolves to; `otherwise` when it throws, rejects, or takes longer than `ms`. */
export function answerWithin<T>(
  ms: number,
  otherwise: T,
  ask: () => PromiseLike<T> | T,
): Promise<T> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(otherwise), ms);
    const settle = (value: T): void => {
      clearTimeout(timer);
      resolve(value);
    };
    new Promise<T>((answer) => answer(ask())).then(settle, () => settle(otherwise));
  });
}
