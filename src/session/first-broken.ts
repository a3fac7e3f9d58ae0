// Looks through a tensor where it is, and reads back where it is broken: 8 bytes, whatever its size.
import { brokenNumbers } from "../base/numerics.ts";
import { elementCount } from "../base/shape.ts";
import type { Runtime, Tensor } from "./runtime.ts";

/**
 * The place of the first number that is infinite or none; undefined when all are numbers. Reads back once: for
 * what is made once, never for a step of a loop.
 *
 * @param values - f32 or f16
 * @throws ModelError numerics when the device did not look
 */
export async function firstBroken(runtime: Runtime, values: Tensor): Promise<number | undefined> {
  const report = runtime.createTensor("u32", [2]);
  try {
    runtime.kernels.findBroken({ values, report })();
    const [done = 0, mark = 0] = await runtime.read(report);
    const expected = elementCount(values.shape);
    if (done !== expected) {
      throw brokenNumbers(`The device looked at ${done} of ${expected} numbers`, {
        done,
        expected,
      });
    }
    return mark === 0 ? undefined : expected - mark;
  } finally {
    report.dispose();
  }
}
