// One tab that draws, aborts and loads again and again: GPU bytes, JavaScript's heap and the number of workers are
// as flat as a machine that measures them allows.
import { MODEL, random, withFaultPage, within } from "../browser/open-fault-page.mjs";

const STEPS = 4;
const LIMIT_MS = 300_000;
/** Else the browser measures when it next collects garbage, which may be never. */
const MEASURE_AT_ONCE = ["--enable-blink-features=ForceEagerMeasureMemory"];
/** A fresh page grows for a while: code is compiled, caches fill. */
const WARM_UP = 0.3;
/** Of the mean, for each drawing. */
const MAX_SLOPE = 0.001;

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "endurance",
  what: "drawings in one tab, a quarter aborted, a tenth on a model loaded anew",
  count: 200,
  slice: 10,
  allowed: "memory slope < 0.1 % per cycle",
  /** @param {number} count @param {number} seed */
  run: (count, seed) =>
    withFaultPage(async ({ page }) => {
      const session = await page.context().newCDPSession(page);
      await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
      const failures = [];
      const heap = [];
      const gpu = [];
      for (let n = seed; n < seed + count; n++) {
        if ((n - seed) % 10 === 9) {
          await page.evaluate((url) => globalThis.faults?.load(url, "webgpu"), MODEL);
        }
        const abortAt = (n - seed) % 4 === 3 ? 1 + Math.floor(random(n) * STEPS) : undefined;
        const request = { seed: n, steps: STEPS, ...(abortAt === undefined ? {} : { abortAt }) };
        const drawing = page.evaluate(async (asked) => globalThis.faults?.draw(asked), request);
        const report = await within(drawing, LIMIT_MS);
        const isRight =
          abortAt === undefined ? report?.hash !== undefined : report?.error !== undefined;
        if (!isRight) failures.push({ seed: n, what: report?.error ?? "was not aborted" });
        if (abortAt !== undefined) continue;
        gpu.push(await page.evaluate(() => globalThis.faults?.info().tensorBytes ?? 0));
        heap.push(await measureHeap(page, session));
      }
      const workers = page.workers().length;
      if (workers !== 1) failures.push({ seed, what: `${workers} workers at the end` });
      for (const [name, values] of Object.entries({ heap, gpu })) {
        const slope = slopeOf(values.slice(Math.floor(values.length * WARM_UP)));
        if (slope > MAX_SLOPE) failures.push({ seed, what: `${name} grows by ${percent(slope)}` });
      }
      const seen = `heap ${percent(slopeOf(heap))}, GPU ${percent(slopeOf(gpu))} per cycle`;
      return { runs: count, failures, seen };
    }, MEASURE_AT_ONCE),
};

/**
 * The page and its workers after a collection of garbage, as the browser counts them.
 *
 * @param {import("playwright").Page} page
 * @param {import("playwright").CDPSession} session
 * @returns {Promise<number>}
 */
async function measureHeap(page, session) {
  await session.send("HeapProfiler.collectGarbage");
  return page.evaluate(async () => {
    const measured = await /** @type {any} */ (performance).measureUserAgentSpecificMemory();
    return measured.bytes;
  });
}

/** Growth per value by least squares, as a share of the mean. @param {readonly number[]} values */
function slopeOf(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const middle = (values.length - 1) / 2;
  let above = 0;
  let below = 0;
  values.forEach((value, n) => {
    above += (n - middle) * (value - mean);
    below += (n - middle) ** 2;
  });
  return below === 0 || mean === 0 ? 0 : above / below / mean;
}

/** @param {number} share */
function percent(share) {
  return `${(100 * share).toFixed(3)} %`;
}
