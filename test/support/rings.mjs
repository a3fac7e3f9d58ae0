// Into which runs of Vitest the rings of tests are split.
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";

/**
 * One run of Vitest. `name` is a file name for its report; `all`: its files are the whole ring.
 *
 * @typedef {{ name: string, files: string[], all: boolean }} RingPart
 */

/**
 * The browser ring is split: each family of models has a Chromium of its own, so that a crash costs the tests of
 * one family, and no GPU process gathers the memory of all of them.
 *
 * @param {string} ring - unit, browser or e2e
 * @param {string} root - folder of package.json
 * @returns {RingPart[]} every test file of the ring, once
 */
export function partsOf(ring, root) {
  const files = testFiles(join("test", ring), root);
  if (ring !== "browser") return [{ name: ring, files, all: true }];
  const models = files.filter((file) => file.startsWith("test/browser/models/"));
  const rest = files.filter((file) => !models.includes(file));
  return [
    { name: ring, files: rest, all: false },
    ...models.map((file) => ({
      name: `${ring}-${basename(file, ".test.ts")}`,
      files: [file],
      all: false,
    })),
  ];
}

/**
 * @param {string} folder - relative to `root`
 * @param {string} root
 * @returns {string[]} paths relative to `root`, with slashes
 */
function testFiles(folder, root) {
  return readdirSync(join(root, folder), { recursive: true })
    .map((file) => join(folder, String(file)).replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".test.ts"))
    .toSorted();
}
