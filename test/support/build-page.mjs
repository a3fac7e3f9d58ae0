// Builds one of the pages of vite.config.ts, as `npm run build:demo` does.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { ROOT } from "./set-up.mjs";

/** Folder that holds the built page, by the name of the page. */
const FOLDERS = {
  demo: "demo/dist",
  score: "test/score/dist",
  bench: "test/bench/dist",
  api: "test/e2e/api/dist",
  faults: "test/faults/browser/dist",
  storage: "test/faults/storage/dist",
};

/**
 * @param {keyof typeof FOLDERS} page
 * @returns {string} the folder to serve
 * @throws Error with vite's messages when the build fails
 */
export function buildPage(page) {
  const vite = join(ROOT, "node_modules", "vite", "bin", "vite.js");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [vite, "build", "--mode", page, "--logLevel", "warn"],
    { cwd: ROOT, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(`Building the ${page} page failed.\n${stdout}${stderr}`);
  return join(ROOT, FOLDERS[page]);
}
