// Accidents of a real browser: a lost device, a crashed GPU process, a tab that stands still, a browser that gives no
// GPU any more. Dying workers and the full counts: `npm run faults`.
import { expect, test } from "vitest";
import { MODEL, withFaultPage } from "../faults/browser/open-fault-page.mjs";
import { rig as deviceLosses } from "../faults/rigs/device-losses.mjs";
import { rig as gpuCrashes } from "../faults/rigs/gpu-crashes.mjs";
import { rig as stoppedTab } from "../faults/rigs/stopped-tab.mjs";

// A model compiles for seconds in software, here once for each of its lives, on a machine that may be busy.
const PATIENCE_MS = 600_000;

test.each([deviceLosses, gpuCrashes, stoppedTab])(
  "$what: the same picture all the same",
  async (rig) => {
    expect((await rig.run(rig.slice, 1)).failures).toEqual([]);
  },
  PATIENCE_MS,
);

test(
  "a device that is lost while a model loads: the load goes on, and the model draws the same",
  () =>
    withFaultPage(async ({ page }) => {
      const draw = () => page.evaluate(() => globalThis.faults?.draw({ seed: 1, steps: 2 }));
      await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
      const undisturbed = await draw();
      for (const phase of ["read", "compile"] as const) {
        const lose = ([url, at]: readonly [string, "read" | "compile"]) =>
          globalThis.faults?.loadAndLose(url, at);
        const info = await page.evaluate(lose, [MODEL, phase] as const);
        expect(await page.evaluate(() => globalThis.faults?.attempts())).toBe(1);
        expect(info).toMatchObject({ backend: "webgpu", recoveries: 0 });
        expect(info?.isSoftware).toBe(/software/.test(info?.device ?? ""));
      }
      expect((await draw())?.hash).toBe(undisturbed?.hash);
    }),
  PATIENCE_MS,
);

test(
  "a browser that gives no GPU any more is told as such, and the page lives",
  () =>
    withFaultPage(async ({ page, browser }) => {
      const control = await browser.newBrowserCDPSession();
      await page.evaluate((url) => globalThis.faults?.load(url, "webgpu", true), MODEL);
      // Chromium blocks WebGPU for a page whose GPU process crashed twice.
      for (let crash = 0; crash < 2; crash++) {
        control.send("Browser.crashGpuProcess").catch(() => undefined);
        await page.waitForTimeout(3_000);
      }
      const draw = () => page.evaluate(() => globalThis.faults?.draw({ seed: 1, steps: 2 }));
      expect(await draw()).toMatchObject({ error: "webgpu-unavailable" });
      expect(await draw()).toMatchObject({ error: "webgpu-unavailable" });
      const info = await page.evaluate((url) => globalThis.faults?.load(url, "wasm"), MODEL);
      expect(info?.backend).toBe("wasm");
      expect((await draw())?.hash).toBeDefined();
    }),
  PATIENCE_MS,
);
