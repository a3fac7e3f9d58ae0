// A tab whose process stands still (SIGSTOP) while a picture is drawn and goes on later, as when a computer sleeps or
// a browser freezes what is in the background: nothing takes the silence for a dead worker, and the drawing ends in
// the bytes of an undisturbed one.
import { disturbanceRig } from "../browser/disturb-drawings.mjs";
import { random } from "../browser/open-fault-page.mjs";

/** Longer than several beats of the heartbeat. */
const LONGEST_MS = 15_000;

export const rig = disturbanceRig({
  name: "stopped-tab",
  what: "the tab's process stands still for up to 15 s while a picture is drawn",
  count: 20,
  replaced: 0,
  async happen({ browser }, n) {
    const control = await browser.newBrowserCDPSession();
    const { processInfo } = await control.send("SystemInfo.getProcessInfo");
    const tabs = processInfo.filter(({ type }) => type === "renderer");
    if (tabs.length === 0) throw new Error("the browser names no process of a tab");
    for (const { id } of tabs) process.kill(id, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, random(n + 1000) * LONGEST_MS));
    for (const { id } of tabs) process.kill(id, "SIGCONT");
    await control.detach();
  },
});
