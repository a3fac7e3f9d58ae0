// Opens the page of these rigs, built, in a headless Chromium.
import { join } from "node:path";
import { buildPage } from "../../support/build-page.mjs";
import { launchOptions } from "../../support/chromium.mjs";
import { ROOT } from "../../support/set-up.mjs";
import { ISOLATION_HEADERS, startStaticServer } from "../../support/static-server.mjs";

/** Address of the embedded model, from the page. */
export const MODEL = "./model/";

/**
 * Chromium blocks WebGPU for a page after the second crash of its GPU process: what the crash rig counts happens
 * to many visitors once, not to one visitor fifty times.
 */
export const MANY_CRASHES = [
  "--disable-gpu-process-crash-limit",
  "--disable-domain-blocking-for-3d-apis",
];

/** @typedef {{ page: import("playwright").Page, browser: import("playwright").Browser }} Opened */

/** The build is made once for all rigs of a process. @type {string | undefined} */
let built;

/**
 * @template T
 * @param {(opened: Opened) => Promise<T>} use
 * @param {readonly string[]} [switches] - further switches of Chromium
 * @returns {Promise<T>}
 */
export async function withFaultPage(use, switches = []) {
  const { chromium } = await import("playwright");
  built ??= buildPage("faults");
  const server = await startStaticServer({
    folders: { "/": built, "/model/": join(ROOT, "demo/models/tiny-janusflow") },
    headers: ISOLATION_HEADERS,
  });
  const options = launchOptions();
  const browser = await chromium.launch({ ...options, args: [...options.args, ...switches] });
  try {
    const page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(0);
    await page.goto(server.url);
    await page.waitForFunction(() => globalThis.faults !== undefined);
    return await use({ page, browser });
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Rejects when a run takes so long that something hangs. @template T @param {Promise<T>} work @param {number} ms */
export function within(work, ms) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`hangs: nothing after ${ms / 1000} s`)), ms);
  });
  return /** @type {Promise<T>} */ (Promise.race([work, late])).finally(() => clearTimeout(timer));
}

/** A number in [0, 1) that the seed decides (mulberry32). @param {number} seed */
export function random(seed) {
  let t = Math.imul(seed + 0x6d2b79f5, 0x85ebca6b) | 0;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}
