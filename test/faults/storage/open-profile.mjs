// A Chromium with a profile on disk that can be killed as a power switch kills it, and opened again.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchOptions } from "../../support/chromium.mjs";

/** @typedef {{ hash: string, bytes: number }} ShardRef */

/**
 * @typedef {object} OpenProfile
 * @property {import("playwright").BrowserContext} context
 * @property {import("playwright").Page} page - where `storage` is there
 * @property {ShardRef[]} acknowledged - shards whose writes were reported as done
 * @property {() => Promise<void>} kill - SIGKILL to every process of the browser
 * @property {() => Promise<void>} close
 */

/**
 * Opens the page of the storage rigs in a browser of its own.
 *
 * @param {string} profile - folder
 * @param {string} url
 * @returns {Promise<OpenProfile>}
 */
export async function openProfile(profile, url) {
  const { chromium } = await import("playwright");
  const context = await chromium.launchPersistentContext(profile, launchOptions());
  return {
    context,
    ...(await openIn(context, url)),
    async kill() {
      const closed = new Promise((resolve) => context.once("close", resolve));
      process.kill(-browserProcess(profile), "SIGKILL");
      await closed;
    },
    close: () => context.close(),
  };
}

/**
 * Opens the page of the storage rigs and listens to what it acknowledges.
 *
 * @param {import("playwright").BrowserContext} context
 * @param {string} url
 * @returns {Promise<Pick<OpenProfile, "page" | "acknowledged">>}
 */
export async function openIn(context, url) {
  /** @type {ShardRef[]} */
  const acknowledged = [];
  await context.exposeFunction("acknowledge", (/** @type {ShardRef} */ shard) => {
    acknowledged.push(shard);
  });
  const page = context.pages()[0] ?? (await context.newPage());
  await openStorage(page, url);
  return { page, acknowledged };
}

/** Goes to the page of the storage rigs. @param {import("playwright").Page} page @param {string} url */
export async function openStorage(page, url) {
  page.setDefaultTimeout(0);
  await page.goto(url);
  await page.waitForFunction(() => globalThis.storage !== undefined);
}

/**
 * Loads a model under its own name.
 *
 * @param {import("playwright").Page} page
 * @param {string} name
 * @returns {Promise<string>} the code of the error that it ended in, or its text where it has none; empty when it is loaded
 */
export function codeOfLoad(page, name) {
  return page.evaluate(async (model) => {
    try {
      await globalThis.storage?.load(model, model);
      return "";
    } catch (error) {
      return String(error instanceof Error && "code" in error ? error.code : error);
    }
  }, name);
}

/**
 * Loads a model under its own name when nothing disturbs it.
 *
 * @param {import("playwright").Page} page
 * @param {string} name
 * @returns {Promise<{ hash: string | undefined, usualMs: number }>} hash of its weights, and how long it took
 */
export async function measureLoad(page, name) {
  const started = performance.now();
  const found = await page.evaluate((model) => globalThis.storage?.load(model, model), name);
  return { hash: found?.hash, usualMs: performance.now() - started };
}

/** A profile that is deleted afterwards. @template T @param {(profile: string) => Promise<T>} use */
export async function withProfile(use) {
  const profile = mkdtempSync(join(tmpdir(), "web-umm-profile-"));
  try {
    return await use(profile);
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Playwright starts a browser as the leader of a process group. @param {string} profile */
function browserProcess(profile) {
  return Number(
    execFileSync("pgrep", ["-o", "-f", "--", `--user-data-dir=${profile}`], { encoding: "utf8" }),
  );
}

/** @param {unknown} isTrue @param {string} what @throws Error */
export function claim(isTrue, what) {
  if (!isTrue) throw new Error(what);
}
