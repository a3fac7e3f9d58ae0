// `npm start`: sets the machine up, does the main job once in a headless Chromium (a text becomes a picture,
// the picture becomes its caption), then serves the demo page. `npm start -- --once` ends after the job.
// PORT chooses where the page is served; WEB_UMM_GPU=1 uses the machine's GPU instead of SwiftShader.
import { mkdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { buildPage } from "../test/support/build-page.mjs";
import { launchOptions } from "../test/support/chromium.mjs";
import { ROOT, setUp } from "../test/support/set-up.mjs";
import { startStaticServer } from "../test/support/static-server.mjs";

const DEFAULT_PORT = 8080;

// On two cores without a GPU the job takes a fraction of this.
const JOB_TIMEOUT_MS = 10 * 60_000;

try {
  const isOnce = process.argv.includes("--once");
  setUp();
  const folder = buildPage("demo");
  await withServer(0, folder, (url) => runMainJob(url).catch(tellFailure));
  if (!isOnce) await serveDemo(folder);
} catch (error) {
  tellFailure(error);
}

/** @param {unknown} error */
function tellFailure(error) {
  console.error(`\nThe main job failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

/**
 * @param {number} port
 * @param {string} folder
 * @param {(url: string) => Promise<void>} use
 */
async function withServer(port, folder, use) {
  const server = await startStaticServer({ folders: { "/": folder }, port });
  try {
    await use(server.url);
  } finally {
    await server.close();
  }
}

/**
 * Runs demo/main-job.html and keeps the picture.
 *
 * @param {string} url
 */
async function runMainJob(url) {
  // Installed by setUp: an import at the top would come before it.
  const { chromium } = await import("playwright");
  const browser = await chromium.launch(launchOptions());
  try {
    const page = await browser.newPage();
    page.setDefaultTimeout(JOB_TIMEOUT_MS);
    page.on("console", (message) => console.log(message.text()));
    const deadline = setTimeout(() => void browser.close(), JOB_TIMEOUT_MS);
    await page.goto(`${url}main-job.html`);
    const { prompt, caption, png } = await page.evaluate(() => {
      if (!globalThis.mainJob) throw new Error("The page has not started its job.");
      return globalThis.mainJob;
    });
    clearTimeout(deadline);
    const file = keepPicture(prompt, png);
    console.log(`\n"${prompt}"\n  -> ${file}\n  -> "${caption}"`);
  } finally {
    await browser.close();
  }
}

/**
 * @param {string} prompt
 * @param {string} png - base64
 * @returns {string} the file, relative to where the user is
 */
function keepPicture(prompt, png) {
  const folder = join(ROOT, "demo", "out");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${prompt.replaceAll(/[^a-z0-9]+/gi, "-")}.png`);
  writeFileSync(file, Buffer.from(png, "base64"));
  return relative(process.cwd(), file);
}

/** @param {string} folder */
async function serveDemo(folder) {
  const server = await startStaticServer({ folders: { "/": folder }, port: wantedPort() }).catch(
    (error) => {
      if (error.code !== "EADDRINUSE" || process.env["PORT"]) throw error;
      return startStaticServer({ folders: { "/": folder } });
    },
  );
  console.log(`\nThe demo page is at ${server.url} (Ctrl+C ends)`);
  for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"])) {
    process.once(signal, () => void server.close());
  }
}

function wantedPort() {
  return Number(process.env["PORT"] ?? DEFAULT_PORT);
}
