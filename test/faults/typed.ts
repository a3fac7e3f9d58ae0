// What a reader of hostile input may do: give a value, or refuse with an error that a caller can act on.
import type { ModelErrorCode } from "../../src/base/errors.ts";
import { ModelError } from "../../src/base/errors.ts";

/** What `read` gives; undefined when it refuses with one of the codes. Anything else is thrown on. */
export async function orRefused<T>(
  codes: readonly ModelErrorCode[],
  read: () => Promise<T> | T,
): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (ModelError.isModelError(error) && codes.includes(error.code)) return undefined;
    throw error;
  }
}

/** Throws unless the claim holds. */
export function claim(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
