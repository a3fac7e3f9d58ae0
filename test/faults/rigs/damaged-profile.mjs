// Files of a closed browser's profile whose bytes flip, that end early, or that are gone. No wrong byte comes out of
// the store, every damaged shard is fetched again, and the model is whole.
import {
  cpSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { random, within } from "../browser/open-fault-page.mjs";
import { claim, openProfile, withProfile } from "../storage/open-profile.mjs";
import { serveModels } from "../storage/serve-models.mjs";

const TENSORS = 40;
/** Files that are damaged at a time. */
const AT_ONCE = 20;
const MAX_FAILURES = 20;
/** One profile in so many also loses the database's own log, and with it what it likes. */
const LOG_EVERY = 10;
const LIMIT_MS = 120_000;

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "damaged-profile",
  what: "files of a closed browser's profile flipped, cut and deleted",
  count: 1_000,
  slice: 20,
  allowed: "0 served, all repaired",
  async run(count, seed) {
    const server = await serveModels({ model: TENSORS }, { delayMs: 0 });
    /** @type {import("../rig.ts").Failure[]} */
    const failures = [];
    const seen = { damaged: 0, repaired: 0 };
    try {
      await withProfile(async (sound) => {
        const { hash } = await readAgain(sound, server.url);
        for (let n = seed; seen.damaged < count && failures.length < MAX_FAILURES; n++) {
          try {
            await withProfile(async (profile) => {
              // Each from the same profile: what replaced files leave behind goes when the browser likes.
              cpSync(sound, profile, { recursive: true });
              const damaged = damage(profile, n);
              seen.damaged += damaged.shards;
              const found = await within(readAgain(profile, server.url), LIMIT_MS);
              seen.repaired += found.repaired;
              claim(found.hash === hash, "wrong bytes were handed out");
              const isRepaired = damaged.log || found.repaired === damaged.shards;
              claim(isRepaired, `${found.repaired} of ${damaged.shards} were found`);
            });
          } catch (error) {
            failures.push({ seed: n, what: String(error) });
          }
        }
      });
    } finally {
      await server.close();
    }
    return { runs: seen.damaged, failures, seen: `${seen.repaired} shards fetched again` };
  },
};

/** @param {string} profile @param {string} url */
async function readAgain(profile, url) {
  const { page, close } = await openProfile(profile, url);
  const found = await page.evaluate(() => globalThis.storage?.load("model", "model"));
  await close();
  return { hash: found?.hash ?? "", repaired: found?.repaired ?? 0 };
}

/** @param {string} profile @param {number} seed */
function damage(profile, seed) {
  const databases = join(profile, "Default", "IndexedDB");
  const files = readdirSync(databases, { recursive: true, encoding: "utf8" })
    .map((name) => join(databases, name))
    .filter((path) => statSync(path).isFile());
  const blobs = files.filter((path) => path.includes(".indexeddb.blob")).toSorted();
  claim(blobs.length === TENSORS, `${blobs.length} files hold ${TENSORS} shards`);
  const draw = (/** @type {number} */ n) => random(seed * 1000 + n);
  const chosen = blobs.filter((_, n) => draw(n) < AT_ONCE / TENSORS);
  for (const [n, path] of chosen.entries()) damageFile(path, draw(100 + n), draw(200 + n));
  const log = seed % LOG_EVERY === 0;
  const logs = files.filter((path) => path.includes(".leveldb") && path.endsWith(".log"));
  if (log) for (const path of logs) damageFile(path, 0, draw(300));
  return { shards: chosen.length, log };
}

/** @param {string} path @param {number} how - 0 to 1: mostly a flipped bit @param {number} where - 0 to 1 */
function damageFile(path, how, where) {
  const { size } = statSync(path);
  const at = Math.floor(where * size);
  if (how > 0.85) return rmSync(path);
  if (how > 0.6) return truncateSync(path, at);
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
  return writeFileSync(path, bytes);
}
