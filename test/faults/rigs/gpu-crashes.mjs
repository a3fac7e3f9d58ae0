// Chromium's GPU process killed at a random moment of a drawing: every device of the browser is gone at once, and
// for a moment there is no adapter either. The drawing ends in the bytes of an undisturbed one.
import { MANY_CRASHES, MODEL, random, withFaultPage, within } from "../browser/open-fault-page.mjs";
import { checkDrawing } from "../browser/check-drawing.mjs";

const DRAWING = { seed: 5, steps: 8 };
const LIMIT_MS = 300_000;

export const rig = {
  name: "gpu-crashes",
  what: "the GPU process crashes while a picture is drawn",
  count: 20,
  slice: 1,
  allowed: "all recovered, same bytes, 0 hangs",
  /** @param {number} count @param {number} seed */
  run: (count, seed) =>
    withFaultPage(async ({ page, browser }) => {
      const control = await browser.newBrowserCDPSession();
      await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
      const draw = () => page.evaluate(async (asked) => globalThis.faults?.draw(asked), DRAWING);
      await draw(); // warms up
      const undisturbed = await within(draw(), LIMIT_MS);
      const failures = [];
      for (let n = seed; n < seed + count; n++) {
        const before = await page.evaluate(() => globalThis.faults?.info().recoveries ?? 0);
        const drawing = within(draw(), LIMIT_MS).catch((error) => ({ error: String(error) }));
        const afterMs = random(n) * (undisturbed?.ms ?? 0);
        await new Promise((resolve) => setTimeout(resolve, afterMs));
        // It never answers: what would answer has crashed.
        control.send("Browser.crashGpuProcess").catch(() => undefined);
        const report = await drawing;
        const isBack = page.evaluate((times) => globalThis.faults?.recovered(times), before + 1);
        const what = await within(isBack, LIMIT_MS).then(
          () => checkDrawing(report, undisturbed),
          String,
        );
        if (what !== undefined) failures.push({ seed: n, what });
      }
      return { runs: count, failures };
    }, MANY_CRASHES),
};
