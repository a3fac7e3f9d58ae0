// A slice of the fault rigs that damage storage in a real browser: killed browsers, damaged files, no room, data that
// is cleared, tabs that crash.
// The full counts: `npm run faults`.
import { expect, test } from "vitest";
import { rig as clearedData } from "../faults/rigs/cleared-data.mjs";
import { rig as damagedProfile } from "../faults/rigs/damaged-profile.mjs";
import { rig as fullStorage } from "../faults/rigs/full-storage.mjs";
import { rig as killedBrowser } from "../faults/rigs/killed-browser.mjs";
import { rig as tabs } from "../faults/rigs/tabs.mjs";

// Seconds each; a machine that is busy starts browsers slowly.
const PATIENCE_MS = 300_000;

test.each([killedBrowser, damagedProfile, fullStorage, clearedData, tabs])(
  "$name: $what",
  async (rig) => {
    const { runs, failures } = await rig.run(rig.slice, 1);
    expect(failures).toEqual([]);
    expect(runs).toBeGreaterThan(0);
  },
  PATIENCE_MS,
);
