// What is said when numbers went wrong: never a picture or a text made of them.
import type { ErrorDetails, ModelError } from "./errors.ts";
import { fail } from "./errors.ts";

/**
 * The error of a result that is not one.
 *
 * @param what - what is wrong with which numbers, a sentence without its full stop
 */
export function brokenNumbers(what: string, details: ErrorDetails): ModelError {
  return fail(
    "numerics",
    `${what}. The weights or this device's arithmetic are broken; try quantization "f32" or another device.`,
    details,
  );
}
