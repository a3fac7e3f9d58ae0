// Opens a page of vite.config.ts, built, in a headless Chromium: what score, bench and tests of the API share.
import { execFileSync } from "node:child_process";
import { cpus, totalmem } from "node:os";
import { buildPage } from "./build-page.mjs";
import { launchOptions } from "./chromium.mjs";
import { ROOT } from "./set-up.mjs";
import { startStaticServer } from "./static-server.mjs";

/**
 * @typedef {object} OpenedPage
 * @property {import("playwright").Page} page
 * @property {import("playwright").Browser} browser
 */

/**
 * Builds, serves and opens a page; everything ends with `use`.
 *
 * @template T
 * @param {"score" | "bench" | "api"} name
 * @param {Readonly<Record<string, string>>} folders - URL prefix -> folder, beside the page itself
 * @param {(opened: OpenedPage) => Promise<T>} use
 * @returns {Promise<T>}
 * @throws Error also for what the page throws on its own
 */
export async function withPage(name, folders, use) {
  const { chromium } = await import("playwright");
  const server = await startStaticServer({ folders: { "/": buildPage(name), ...folders } });
  const browser = await chromium.launch(launchOptions());
  try {
    const context = await browser.newContext(); // one profile: more pages share what is stored
    const page = await context.newPage();
    const broken = new Promise((_, reject) => {
      page.on("pageerror", reject);
      page.on("crash", () => reject(new Error("The page crashed.")));
      page.on("console", (message) => console.error(message.text()));
    });
    await page.goto(server.url);
    return await /** @type {Promise<T>} */ (Promise.race([use({ page, browser }), broken]));
  } finally {
    await browser.close();
    await server.close();
  }
}

/** What the numbers were measured on, for people. */
export function describeMachine() {
  const cores = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cores[0]?.model.trim() ?? "unknown processor"}, ${cores.length} cores, ${memory} GiB, ${process.platform}`;
}

/** The commit that was measured, "+" when the tree has other changes; "unknown" without git. */
export function describeCommit() {
  try {
    const git = (/** @type {string[]} */ ...parameters) =>
      execFileSync("git", parameters, { cwd: ROOT, encoding: "utf8" }).trim();
    return git("rev-parse", "--short", "HEAD") + (git("status", "--porcelain") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}
