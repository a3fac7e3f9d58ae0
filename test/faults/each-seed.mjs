// The loop of the rigs that watch themselves: one run for each seed, each with a deadline.
import { within } from "./browser/open-fault-page.mjs";

/**
 * Runs all seeds, whatever becomes of one.
 *
 * @param {{ count: number, seed: number, limitMs: number }} range
 * @param {(seed: number) => Promise<void>} run
 * @returns {Promise<import("./rig.ts").Failure[]>} seeds that rejected, or were not done in time
 */
export async function eachSeed({ count, seed, limitMs }, run) {
  /** @type {import("./rig.ts").Failure[]} */
  const failures = [];
  for (let n = seed; n < seed + count; n++) {
    await within(run(n), limitMs).catch((error) => failures.push({ seed: n, what: String(error) }));
  }
  return failures;
}
