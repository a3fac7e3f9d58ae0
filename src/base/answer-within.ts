// Questions to a browser that may fail or never be answered, and whose answer is a hint only.
import { withDeadline } from "./deadline.ts";

/** What `ask` resolves to; `otherwise` when it throws, rejects, or takes longer than `ms`. */
export function answerWithin<T>(
  ms: number,
  otherwise: T,
  ask: () => PromiseLike<T> | T,
): Promise<T> {
  const answer = new Promise<T>((resolve) => resolve(ask()));
  return withDeadline(answer, ms, () => new Error("no answer")).catch(() => otherwise);
}
