// A browser whose quota ends at shard k of a model, for every k: the error says so, another model stays whole, what
// was acknowledged is there, and the import goes on from it when there is room again.
import { eachSeed } from "../each-seed.mjs";
import { launchOptions } from "../../support/chromium.mjs";
import { claim, codeOfLoad, openIn } from "../storage/open-profile.mjs";
import { CONNECTIONS, serveModels, SHARD_BYTES } from "../storage/serve-models.mjs";

const TENSORS = 40;
const LIMIT_MS = 120_000;

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "full-storage",
  what: "the browser's quota ends at shard k of a model of 40, for every k",
  count: TENSORS,
  slice: 3,
  allowed: "0 lost, all typed",
  async run(count, seed) {
    const { chromium } = await import("playwright");
    const server = await serveModels({ old: TENSORS, new: TENSORS });
    const browser = await chromium.launch(launchOptions());
    let refused = 0;
    try {
      const used = await measure(await browser.newContext(), server);
      const failures = await eachSeed({ count, seed, limitMs: LIMIT_MS }, async (n) => {
        // A context in memory: Chromium does not hold pages of a profile to a quota that is overridden.
        const context = await browser.newContext();
        const room = Math.floor((n * TENSORS) / count) % TENSORS;
        const isRefused = await fill(context, server, used + (room + 1.5) * SHARD_BYTES);
        refused += isRefused ? 1 : 0;
        await context.close();
      });
      // A browser that does not hold the page to its quota proves nothing.
      if (refused === 0) failures.push({ seed, what: "the quota was never reached" });
      return { runs: count, failures, seen: `${refused} refused` };
    } finally {
      await browser.close();
      await server.close();
    }
  },
};

/**
 * @param {import("playwright").BrowserContext} context
 * @param {import("../storage/serve-models.mjs").ModelServer} server
 * @returns {Promise<number>} bytes that the browser counts for a stored model
 */
async function measure(context, server) {
  const { page } = await openIn(context, server.url);
  await page.evaluate(() => globalThis.storage?.load("old", "old"));
  const used = await page.evaluate(async () => (await navigator.storage.estimate()).usage ?? 0);
  await context.close();
  return used;
}

/**
 * @param {import("playwright").BrowserContext} context
 * @param {import("../storage/serve-models.mjs").ModelServer} server
 * @param {number} quotaSize
 * @returns {Promise<boolean>} whether the browser refused to store it
 */
async function fill(context, server, quotaSize) {
  const { origin } = new URL(server.url);
  // Before the first write: Chromium remembers for a while how much room there was.
  const control = await context.newCDPSession(await context.newPage());
  await control.send("Storage.overrideQuotaForOrigin", { origin, quotaSize });
  const { page, acknowledged } = await openIn(context, server.url);
  const old = await page.evaluate(() => globalThis.storage?.load("old", "old"));
  acknowledged.length = 0;
  const before = server.fetchedTensors();
  const code = await codeOfLoad(page, "new");
  claim(code === "" || code === "quota-exceeded", `the full storage ended in ${code}`);
  const models = await page.evaluate(() => globalThis.storage?.inspect());
  claim(models?.["old"] === old?.hash, `the other model is damaged: ${JSON.stringify(models)}`);
  const isStored = models?.["new"] !== undefined;
  claim(isStored === (code === ""), "a refused model is there, or a stored one is not");
  const missing = await page.evaluate(
    (shards) => globalThis.storage?.missing(shards),
    acknowledged,
  );
  claim(missing?.length === 0, `${missing?.length} acknowledged shards are lost`);
  await control.send("Storage.overrideQuotaForOrigin", { origin });
  const last = await page.evaluate(() => globalThis.storage?.load("new", "new"));
  claim(last?.shards === TENSORS && last.repaired === 0, "the model is not whole at the end");
  const again = server.fetchedTensors() - before - TENSORS;
  claim(again <= CONNECTIONS, `${again} shards were fetched again`);
  return code !== "";
}
