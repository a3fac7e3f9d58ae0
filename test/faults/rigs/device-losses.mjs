// A device that is lost at a random moment of a drawing, of its prompt, its steps or its decoding: the drawing goes
// on in a new worker and ends in the very bytes of an undisturbed one, and nothing is told twice.
import { MODEL, random, withFaultPage, within } from "../browser/open-fault-page.mjs";
import { checkDrawing } from "../browser/check-drawing.mjs";

const DRAWING = { seed: 11, steps: 8, previewEvery: 3 };
/** Of one drawing with its recovery: SwiftShader compiles the model anew, on a machine that may be busy. */
const LIMIT_MS = 300_000;

export const rig = {
  name: "device-losses",
  what: "the GPU device is lost while a picture is drawn",
  count: 50,
  slice: 1,
  allowed: "all recovered, same bytes, 0 hangs",
  /** @param {number} count @param {number} seed */
  run: (count, seed) =>
    withFaultPage(async ({ page }) => {
      await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
      const draw = (/** @type {import("../browser/page.ts").DrawRequest} */ request) =>
        within(
          page.evaluate(async (asked) => globalThis.faults?.draw(asked), request),
          LIMIT_MS,
        );
      await draw(DRAWING); // warms up
      const undisturbed = await draw(DRAWING);
      const failures = [];
      const seconds = [];
      for (let n = seed; n < seed + count; n++) {
        const before = await page.evaluate(() => globalThis.faults?.info().recoveries ?? 0);
        const afterMs = random(n) * (undisturbed?.ms ?? 0);
        const request = { ...DRAWING, accident: { what: /** @type {const} */ ("lose"), afterMs } };
        const report = await draw(request).catch((error) => ({ error: String(error) }));
        const isBack = page.evaluate((times) => globalThis.faults?.recovered(times), before + 1);
        const what = await within(isBack, LIMIT_MS).then(
          () => checkDrawing(report, undisturbed),
          String,
        );
        if (what !== undefined) failures.push({ seed: n, what });
        if (report && "ms" in report) seconds.push((report.ms - (undisturbed?.ms ?? 0)) / 1000);
      }
      const median = seconds.toSorted((a, b) => a - b)[seconds.length >> 1] ?? 0;
      return { runs: count, failures, seen: `recovered in ${median.toFixed(1)} s (median)` };
    }),
};
