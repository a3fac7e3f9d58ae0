// A disk that is really full (a small file system in memory, filled up to a random number of bytes): while a model is
// stored the error says so, another model stays whole, what was acknowledged is there, and nothing is stuck once there
// is room again. Chromium learns of it by ENOSPC, not by a quota. Mounting needs root, so no slice of it runs in tests.
import { execFileSync } from "node:child_process";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { random } from "../browser/open-fault-page.mjs";
import { eachSeed } from "../each-seed.mjs";
import { claim, codeOfLoad, openProfile, withProfile } from "../storage/open-profile.mjs";
import { CONNECTIONS, serveModels, SHARD_BYTES } from "../storage/serve-models.mjs";

const TENSORS = 40;
const LIMIT_MS = 180_000;
/** Where the database's own log does not fit, Chromium tells no reason. */
const CODES = ["", "quota-exceeded", "storage-unavailable"];
/** The browser's own files take a third of it. */
const DISK_BYTES = 64 * 2 ** 20;

/** @type {import("../rig.ts").Rig} */
export const rig = {
  name: "full-disk",
  what: "the disk is full after a random number of bytes while a model is stored",
  count: 50,
  slice: 0,
  allowed: "0 lost, all typed, nothing stuck",
  async run(count, seed) {
    const server = await serveModels({ old: TENSORS, new: TENSORS });
    /** @type {Record<string, number>} */
    const ends = {};
    try {
      const failures = await withProfile((folder) =>
        onSmallDisk(folder, async (disk) => {
          const opened = await openProfile(join(disk, "profile"), server.url);
          const failed = await eachSeed({ count, seed, limitMs: LIMIT_MS }, async (n) => {
            const code = await fill(opened, server, disk, random(n) * 1.2 * TENSORS * SHARD_BYTES);
            ends[code || "stored"] = (ends[code || "stored"] ?? 0) + 1;
          });
          await opened.close();
          return failed;
        }),
      );
      if (Object.keys(ends).every((end) => end === "stored")) {
        failures.push({ seed, what: "the disk was never full" });
      }
      const seen = Object.entries(ends).map(([end, times]) => `${times} ${end}`);
      return { runs: count, failures, seen: seen.join(", ") };
    } catch (error) {
      // The other rigs still have their turn; a claim that was not looked at is not kept.
      if (!(error instanceof NoSmallDisk)) throw error;
      return { runs: 0, failures: [{ seed, what: error.message }], seen: "not run" };
    } finally {
      await server.close();
    }
  },
};

class NoSmallDisk extends Error {}

/** @template T @param {string} folder @param {(disk: string) => Promise<T>} use */
async function onSmallDisk(folder, use) {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "web-umm-faults", folder]);
  } catch (cause) {
    throw new NoSmallDisk("a small file system cannot be mounted: run as root, on Linux", {
      cause,
    });
  }
  try {
    return await use(folder);
  } finally {
    execFileSync("umount", ["--lazy", folder]);
  }
}

/**
 * @param {import("../storage/open-profile.mjs").OpenProfile} opened
 * @param {import("../storage/serve-models.mjs").ModelServer} server
 * @param {string} disk
 * @param {number} room - bytes that are left on it
 * @returns {Promise<string>} the code of the error; empty when the model found room
 */
async function fill({ page, acknowledged }, server, disk, room) {
  await page.evaluate(() => globalThis.storage?.clear());
  const old = await page.evaluate(() => globalThis.storage?.load("old", "old"));
  acknowledged.length = 0;
  const before = server.fetchedTensors();
  const ballast = join(disk, "ballast");
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - Math.round(room))));
  let code = "";
  try {
    code = await codeOfLoad(page, "new");
  } finally {
    rmSync(ballast);
  }
  claim(CODES.includes(code), `the full disk ended in ${code}`);
  const models = await page.evaluate(() => globalThis.storage?.inspect());
  claim(models?.["old"] === old?.hash, `the other model is damaged: ${JSON.stringify(models)}`);
  const missing = await page.evaluate(
    (shards) => globalThis.storage?.missing(shards),
    acknowledged,
  );
  claim(missing?.length === 0, `${missing?.length} acknowledged shards are lost`);
  const last = await page.evaluate(() => globalThis.storage?.load("new", "new"));
  claim(last?.shards === TENSORS && last.repaired === 0, "the model is not whole at the end");
  const again = server.fetchedTensors() - before - TENSORS;
  claim(again <= CONNECTIONS, `${again} shards were fetched again`);
  return code;
}
