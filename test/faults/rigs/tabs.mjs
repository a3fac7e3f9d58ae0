// Two to four tabs that load the same model at once, some of which crash or are closed meanwhile. Everyone who lives
// has the right weights, and they came through the network once; without Web Locks they are right all the same.
import { random } from "../browser/open-fault-page.mjs";
import { eachSeed } from "../each-seed.mjs";
import {
  claim,
  measureLoad,
  openProfile,
  openStorage,
  withProfile,
} from "../storage/open-profile.mjs";
import { serveModels } from "../storage/serve-models.mjs";

const TENSORS = 240;
const LIMIT_MS = 180_000;
/** Of the model, where there are locks. */
const MOST_FETCHED = 1.05;

/**
 * @typedef {import("../storage/open-profile.mjs").OpenProfile} OpenProfile
 * @typedef {import("../storage/serve-models.mjs").ModelServer} ModelServer
 * @typedef {import("playwright").Page} Page
 */

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "tabs",
  what: "two to four tabs load a model, killed and closed at random; a quarter without locks",
  count: 100,
  slice: 2,
  allowed: "bytes fetched <= 1.05x with locks, 0 corrupt",
  async run(count, seed) {
    const server = await serveModels({ model: TENSORS });
    let [most, lost] = [0, 0];
    try {
      const failures = await withProfile(async (profile) => {
        const browser = await openProfile(profile, server.url);
        const undisturbed = await measureLoad(browser.page, "model");
        const failed = await eachSeed({ count, seed, limitMs: LIMIT_MS }, async (n) => {
          const seen = await loadTogether(browser, server, undisturbed, n);
          lost += seen.lost;
          if (seen.hasLocks) most = Math.max(most, seen.fetched);
        });
        await browser.close();
        return failed;
      });
      return {
        runs: count,
        failures,
        seen: `${lost} tabs lost, at most ${most.toFixed(3)}x fetched`,
      };
    } finally {
      await server.close();
    }
  },
};

/**
 * @param {OpenProfile} browser
 * @param {ModelServer} server
 * @param {Awaited<ReturnType<typeof measureLoad>>} undisturbed
 * @param {number} seed
 */
async function loadTogether({ context, page: first }, server, undisturbed, seed) {
  const draw = (/** @type {number} */ n) => random(seed * 100 + n);
  const hasLocks = seed % 4 !== 0;
  await first.evaluate(() => globalThis.storage?.clear());
  const before = server.fetchedTensors();
  const count = 2 + Math.floor(draw(0) * 3);
  const tabs = await Promise.all(
    Array.from({ length: count }, () => openTab(context, server.url, hasLocks)),
  );
  /** @type {Set<Page>} */
  const doomed = new Set();
  const loads = tabs.map((tab) => loadIn(tab, doomed));
  for (const [n, tab] of tabs.slice(1).entries()) {
    if (draw(10 + n) < 0.5) continue;
    await new Promise((resolve) => setTimeout(resolve, (draw(20 + n) * undisturbed.usualMs) / 2));
    doomed.add(tab);
    await end(tab, draw(30 + n) < 0.5);
  }
  const found = await Promise.all(loads);
  const wrong = found.filter((hash) => hash !== undefined && hash !== undisturbed.hash);
  claim(wrong.length === 0, `a tab got ${wrong[0]}`);
  const last = await first.evaluate(() => globalThis.storage?.load("model", "model"));
  claim(last?.hash === undisturbed.hash && last?.repaired === 0, "what is left is not the model");
  const fetched = (server.fetchedTensors() - before) / TENSORS;
  claim(!hasLocks || fetched <= MOST_FETCHED, `${fetched.toFixed(3)} times the model was fetched`);
  for (const tab of tabs) await tab.close();
  return { fetched, hasLocks, lost: found.filter((hash) => hash === undefined).length };
}

/** @param {OpenProfile["context"]} context @param {string} url @param {boolean} hasLocks */
async function openTab(context, url, hasLocks) {
  const tab = await context.newPage();
  if (!hasLocks) {
    await tab.addInitScript(() => Object.defineProperty(navigator, "locks", { value: undefined }));
  }
  await openStorage(tab, url);
  return tab;
}

/** Hash of what a tab loads; undefined when it is lost, alone or with others of its process. @param {Page} tab @param {Set<Page>} doomed */
async function loadIn(tab, doomed) {
  const gone = new Promise((resolve) => tab.once("crash", resolve));
  try {
    const load = tab.evaluate(() => globalThis.storage?.load("model", "model"));
    return (await Promise.race([load, gone.then(() => undefined)]))?.hash;
  } catch (error) {
    if (doomed.has(tab)) return undefined;
    throw error;
  }
}

/** @param {Page} tab @param {boolean} crashes */
async function end(tab, crashes) {
  if (!crashes) return tab.close();
  const control = await tab.context().newCDPSession(tab);
  control.send("Page.crash").catch(() => undefined); // it never answers
}
