// A browser that is killed (SIGKILL, all processes) while it stores a model, puts another in its place, or makes
// room, and opened again on the same profile. What was reported as stored is there, what is there is right, and
// what is not is fetched once more at most once for each connection.
import { random } from "../browser/open-fault-page.mjs";
import { eachSeed } from "../each-seed.mjs";
import { claim, openProfile, withProfile } from "../storage/open-profile.mjs";
import { CONNECTIONS, serveModels } from "../storage/serve-models.mjs";

const TENSORS = 40;
const LIMIT_MS = 120_000;
const KINDS = /** @type {const} */ (["fresh", "upgrade", "eviction"]);

/**
 * @typedef {import("../storage/open-profile.mjs").OpenProfile} OpenProfile
 * @typedef {import("../storage/serve-models.mjs").ModelServer} ModelServer
 * @typedef {{ old: string, new: string, usualMs: number }} Undisturbed - hashes of the models, and how long one takes
 */

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "killed-browser",
  what: "SIGKILL while a model is stored, replaced or deleted",
  count: 200,
  slice: 3,
  allowed: "0 corrupt shards served, 0 acknowledged shards lost",
  async run(count, seed) {
    const server = await serveModels({ old: TENSORS, new: TENSORS });
    let [acknowledged, unfinished] = [0, 0];
    try {
      const undisturbed = await withProfile((profile) => measure(profile, server));
      const failures = await eachSeed({ count, seed, limitMs: LIMIT_MS }, async (n) => {
        const seen = await withProfile((profile) => killOnce(profile, server, undisturbed, n));
        acknowledged += seen.acknowledged;
        unfinished += seen.acknowledged < TENSORS ? 1 : 0;
      });
      return {
        runs: count,
        failures,
        seen: `${unfinished} in the middle, ${acknowledged} shards acknowledged`,
      };
    } finally {
      await server.close();
    }
  },
};

/** @param {string} profile @param {ModelServer} server @returns {Promise<Undisturbed>} */
async function measure(profile, { url }) {
  const { page, close } = await openProfile(profile, url);
  const load = (/** @type {string} */ name) =>
    page.evaluate((model) => globalThis.storage?.load(model, model), name);
  const older = await load("old");
  const started = performance.now();
  const newer = await load("new");
  const usualMs = performance.now() - started;
  await close();
  if (older?.shards !== TENSORS) throw new Error(`${older?.shards} shards, expected ${TENSORS}`);
  return { old: older.hash, new: newer?.hash ?? "", usualMs };
}

/** @param {string} profile @param {ModelServer} server @param {Undisturbed} undisturbed @param {number} seed */
async function killOnce(profile, server, undisturbed, seed) {
  const kind = KINDS[seed % KINDS.length] ?? "fresh";
  const first = await openProfile(profile, server.url);
  await prepare(first, kind);
  first.acknowledged.length = 0;
  const before = server.fetchedTensors();
  act(first, kind).catch(() => undefined); // it is killed
  await new Promise((resolve) => setTimeout(resolve, random(seed) * undisturbed.usualMs));
  await first.kill();
  const second = await openProfile(profile, server.url);
  const { acknowledged } = first;
  await check(second, kind, undisturbed, acknowledged);
  const hash = await finish(second, kind, undisturbed);
  claim(hash === undisturbed.new, "other weights at the end");
  const again = server.fetchedTensors() - before - TENSORS;
  claim(kind === "eviction" || again <= CONNECTIONS, `${again} shards were fetched again`);
  const orphaned = await second.page.evaluate(() => globalThis.storage?.removeOrphans());
  claim(orphaned === 0, `${orphaned} bytes belong to nothing`);
  await second.close();
  return { acknowledged: acknowledged.length };
}

/** @param {OpenProfile} browser @param {string} kind */
async function prepare({ page }, kind) {
  if (kind === "fresh") return;
  await page.evaluate(() => globalThis.storage?.load("old", "old"));
  if (kind === "eviction") {
    await page.evaluate(() => globalThis.storage?.pin("old"));
    await page.evaluate(() => globalThis.storage?.load("new", "new"));
  }
}

/** @param {OpenProfile} browser @param {string} kind */
async function act({ page }, kind) {
  if (kind === "fresh") await page.evaluate(() => globalThis.storage?.load("new", "new"));
  else if (kind === "upgrade") await page.evaluate(() => globalThis.storage?.replace("new", "old"));
  else {
    await page.evaluate(async () => {
      for (;;) {
        await globalThis.storage?.makeRoom();
        await globalThis.storage?.load("new", "new");
      }
    });
  }
}

/**
 * @param {OpenProfile} browser
 * @param {string} kind
 * @param {Undisturbed} undisturbed
 * @param {OpenProfile["acknowledged"]} acknowledged
 */
async function check({ page }, kind, undisturbed, acknowledged) {
  const models = await page.evaluate(() => globalThis.storage?.inspect());
  const [old, fresh] = [models?.["old"], models?.["new"]];
  const [isOld, isFresh] = [old === undisturbed.old, fresh === undisturbed.new];
  const told = JSON.stringify(models);
  if (kind === "fresh") claim(fresh === undefined || isFresh, `a new model is damaged: ${told}`);
  else if (kind === "upgrade")
    claim(isOld || old === undisturbed.new, `a replaced model is damaged: ${told}`);
  else claim(isOld && (fresh === undefined || isFresh), `making room damaged a model: ${told}`);
  if (kind === "eviction") return; // what was acknowledged may have been deleted since
  const missing = await page.evaluate(
    (shards) => globalThis.storage?.missing(shards),
    acknowledged,
  );
  claim(missing?.length === 0, `${missing?.length} acknowledged shards are lost`);
}

/**
 * What the user does next: the same again.
 *
 * @param {OpenProfile} browser
 * @param {string} kind
 * @param {Undisturbed} undisturbed
 * @returns {Promise<string | undefined>} hash of the model
 */
async function finish({ page }, kind, undisturbed) {
  const inspect = () => page.evaluate(() => globalThis.storage?.inspect());
  if (kind === "upgrade") {
    const isDone = (await inspect())?.["old"] === undisturbed.new;
    if (!isDone) await page.evaluate(() => globalThis.storage?.replace("new", "old"));
    return (await inspect())?.["old"];
  }
  await page.evaluate(() => globalThis.storage?.load("new", "new"));
  return (await inspect())?.["new"];
}
