// Drawings with an accident at a random moment, each compared with an undisturbed one.
import { checkDrawing } from "./check-drawing.mjs";
import { MODEL, random, withFaultPage, within } from "./open-fault-page.mjs";

/** Previews at steps 3 and 6: they must not come twice either. */
const DRAWING = { seed: 11, steps: 8, previewEvery: 3 };
/** Of one drawing with its recovery: SwiftShader compiles the model anew, on a machine that may be busy. */
const LIMIT_MS = 300_000;

/**
 * @typedef {import("./open-fault-page.mjs").Opened} Opened
 * @typedef {object} Disturbance
 * @property {string} name
 * @property {string} what - row of the table
 * @property {number} count - drawings of `npm run faults`
 * @property {(opened: Opened, seed: number) => Promise<unknown>} happen - makes the accident happen
 * @property {readonly string[]} [switches] - further switches of Chromium
 * @property {number} [replaced] - engine workers that it costs; 1 unless said
 *
 * @param {Disturbance} disturbance
 * @returns {import("../rig.ts").Rig}
 */
export function disturbanceRig({ name, what, count, ...accident }) {
  return {
    name,
    what,
    count,
    slice: 1,
    allowed: "all recovered, same bytes, 0 hangs",
    run: (drawings, seed) => disturbDrawings(drawings, seed, accident),
  };
}

/**
 * @param {number} count
 * @param {number} seed
 * @param {Pick<Disturbance, "happen" | "switches" | "replaced">} accident
 * @returns {Promise<import("../rig.ts").RigResult>}
 */
function disturbDrawings(count, seed, { happen, switches = [], replaced = 1 }) {
  return withFaultPage(async (opened) => {
    const { page } = opened;
    await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
    const draw = () =>
      within(
        page.evaluate(async (asked) => globalThis.faults?.draw(asked), DRAWING),
        LIMIT_MS,
      );
    await draw(); // warms up
    const undisturbed = await draw();
    const usual = undisturbed?.ms ?? 0;
    const failures = [];
    const delays = [];
    for (let n = seed; n < seed + count; n++) {
      const lives = await page.evaluate(() => globalThis.faults?.info().recoveries ?? 0);
      const drawing = draw().catch((error) => ({ error: String(error), ms: 0 }));
      await new Promise((resolve) => setTimeout(resolve, random(n) * usual));
      await happen(opened, n);
      let report = await drawing;
      // A worker that freezes behind its last step is only missed by the next call.
      const isMissed = report && "recoveries" in report && report.recoveries < lives + replaced;
      if (isMissed && checkDrawing(report, undisturbed) === undefined) report = await draw();
      const isBack = page.evaluate(
        (times) => globalThis.faults?.recovered(times),
        lives + replaced,
      );
      const what = await within(isBack, LIMIT_MS).then(
        () => checkDrawing(report, undisturbed),
        String,
      );
      if (what !== undefined) failures.push({ seed: n, what });
      delays.push(((report?.ms ?? 0) - usual) / 1000);
    }
    const median = delays.toSorted((a, b) => a - b)[delays.length >> 1] ?? 0;
    return { runs: count, failures, seen: `${median.toFixed(1)} s longer (median)` };
  }, switches);
}

/** @param {Opened} opened @param {import("./accidents.ts").Accident} accident */
export function suffer({ page }, accident) {
  return page.evaluate((what) => globalThis.faults?.suffer(what), accident);
}
