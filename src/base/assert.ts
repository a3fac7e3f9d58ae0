// Internal truths. A failed assertion is a bug of the library, never of the caller or the world.

/** Throws when an internal truth does not hold; narrows the type where it does. */
export function assert(condition: unknown, truth: string): asserts condition {
  if (!condition) throw new Error(`web-umm internal error: ${truth}`);
}

/** The value, or an internal error naming what was missing. */
export function present<T>(value: T | null | undefined, what: string): T {
  assert(value !== undefined && value !== null, `${what} is missing`);
  return value;
}
