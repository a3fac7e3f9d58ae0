// Chromium's GPU process killed at a random moment of a drawing: every device of the browser is gone at once, and
// for a moment there is no adapter either. The drawing ends in the bytes of an undisturbed one.
import { disturbanceRig } from "../browser/disturb-drawings.mjs";
import { MANY_CRASHES } from "../browser/open-fault-page.mjs";

export const rig = disturbanceRig({
  name: "gpu-crashes",
  what: "the GPU process crashes while a picture is drawn",
  count: 20,
  switches: MANY_CRASHES,
  async happen({ browser }) {
    const control = await browser.newBrowserCDPSession();
    // It never answers: what would answer has crashed.
    control.send("Browser.crashGpuProcess").catch(() => undefined);
  },
});
