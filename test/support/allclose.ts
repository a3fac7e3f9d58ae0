// The matcher for numbers: every element within rtol * |expected| + atol. Import it for its effect.
import { expect } from "vitest";

/** How far an element may be from the expected one. */
export interface Tolerance {
  /** Share of the expected magnitude. */
  readonly rtol?: number;
  /** Absolute. */
  readonly atol?: number;
}

declare module "vitest" {
  interface Matchers<T> {
    /** Same length, and every element within rtol * |expected| + atol. */
    toBeAllclose(expected: ArrayLike<number>, tolerance?: Tolerance): T;
  }
}

expect.extend({
  toBeAllclose(
    actual: ArrayLike<number>,
    expected: ArrayLike<number>,
    { rtol = 1e-5, atol = 1e-6 }: Tolerance = {},
  ) {
    if (actual.length !== expected.length) {
      return { pass: false, message: () => `${actual.length} numbers, not ${expected.length}` };
    }
    const far: string[] = [];
    for (let k = 0; k < expected.length; k++) {
      const [a = Number.NaN, e = Number.NaN] = [actual[k], expected[k]];
      // Written so that NaN is far from everything.
      if (!(Math.abs(a - e) <= rtol * Math.abs(e) + atol)) far.push(`[${k}] is ${a}, not ${e}`);
    }
    const first = far.slice(0, 5).join("\n");
    return {
      pass: far.length === 0,
      message: () => `${far.length} of ${expected.length} numbers are off:\n${first}`,
    };
  },
});
