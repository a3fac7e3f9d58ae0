// A user who clears the site's data while a model is stored and read, at a random moment: the load ends in the right
// weights or in an error that says what happened, and the next load has them.
import { random } from "../browser/open-fault-page.mjs";
import { eachSeed } from "../each-seed.mjs";
import {
  claim,
  codeOfLoad,
  measureLoad,
  openProfile,
  withProfile,
} from "../storage/open-profile.mjs";
import { serveModels } from "../storage/serve-models.mjs";

const TENSORS = 40;
/** Less than the deadline of a silent database: this one is gone, not silent. */
const LIMIT_MS = 45_000;
/** What a database that is taken away may end a load in. */
const ALLOWED = ["", "storage-unavailable", "weights-corrupt"];

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "cleared-data",
  what: "the site's data is cleared while a model is stored or read",
  count: 100,
  slice: 3,
  allowed: "0 hangs, all typed, whole at the next load",
  async run(count, seed) {
    const server = await serveModels({ model: TENSORS });
    let broken = 0;
    try {
      const failures = await withProfile(async (profile) => {
        const browser = await openProfile(profile, server.url);
        const { hash, usualMs } = await measureLoad(browser.page, "model");
        const failed = await eachSeed({ count, seed, limitMs: LIMIT_MS }, async (n) => {
          const delayMs = random(n) * usualMs;
          const isStored = n % 2 === 0;
          const code = await clearOnce(browser, server.url, { isStored, delayMs, hash });
          broken += code === "" ? 0 : 1;
        });
        await browser.close();
        return failed;
      });
      return { runs: count, failures, seen: `${broken} loads broken off` };
    } finally {
      await server.close();
    }
  },
};

/**
 * @param {import("../storage/open-profile.mjs").OpenProfile} browser
 * @param {string} url
 * @param {{ isStored: boolean, delayMs: number, hash: string | undefined }} kind
 * @returns {Promise<string>} what the load ended in
 */
async function clearOnce({ context, page }, url, { isStored, delayMs, hash }) {
  const control = await context.newCDPSession(page);
  if (!isStored) await page.evaluate(() => globalThis.storage?.clear());
  const load = codeOfLoad(page, "model");
  await new Promise((resolve) => setTimeout(resolve, isStored ? delayMs / 4 : delayMs));
  const { origin } = new URL(url);
  await control.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
  const code = await load;
  claim(ALLOWED.includes(code), `the load ended in ${code}`);
  const last = await page.evaluate(() => globalThis.storage?.load("model", "model"));
  claim(last?.hash === hash, "other weights at the end");
  await control.detach();
  return code;
}
