// `npm run score`: how many held-out prompts the embedded models draw as they ask, how many questions they
// answer right and how many edits they do, beside the authors' architectures in f32 (reference.json). The whole
// sets run on the wasm backend; a slice of each on WebGPU must come to the same verdicts.
//   --family janus-flow one family only
//   --slice [N]         only N items of each set (24), spread evenly, on both backends
//   --backend wasm      one backend only (also webgpu)
//   --quantization q8   default: q8
//   --json FILE         also writes what was counted
// Fails when a score is more than 3 points below the reference's, or the backends disagree.
import { writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { describeCommit, describeMachine, withPage } from "../support/open-page.mjs";
import { setUp } from "../support/set-up.mjs";
import { readSets } from "./sets.mjs";
import { disagreements, linesOf, printTable } from "./table.mjs";

/** @typedef {import("./sets.mjs").ScoreSet} ScoreSet */
/** @typedef {import("./sets.mjs").ScorePart} ScorePart */
/** @typedef {Map<string, Map<number, boolean>>} Verdicts */

const SLICE = 24;
const ALLOWED_LOSS = 0.03;

// A worker of the wasm backend takes one core; SwiftShader takes all there are.
const PAGES_AT_ONCE = { wasm: Math.min(4, availableParallelism()), webgpu: 1 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    family: { type: "string" },
    slice: { type: "boolean", default: false },
    backend: { type: "string" },
    quantization: { type: "string", default: "q8" },
    json: { type: "string" },
  },
});
const sliceSize = Number(positionals[0] ?? SLICE);

setUp();
/** @type {import("./table.mjs").Line[]} */
const lines = [];
let differing = 0;
for (const set of readSets(values.family)) {
  const wasm = values.backend === "webgpu" ? undefined : await judge(set, "wasm", values.slice);
  const webgpu = values.backend === "wasm" ? undefined : await judge(set, "webgpu", true);
  if (wasm) lines.push(...linesOf(set, "wasm", wasm));
  if (webgpu) lines.push(...linesOf(set, "webgpu", webgpu));
  if (wasm && webgpu) differing += disagreements(wasm, webgpu);
}
printTable(lines);
if (values.backend === undefined) {
  console.log(`\nwasm and webgpu disagree on ${differing} items of the slices`);
}
if (values.json !== undefined) {
  const run = { machine: describeMachine(), commit: describeCommit(), lines, differing };
  writeFileSync(values.json, `${JSON.stringify(run, null, 2)}\n`);
}
const below = lines.filter(
  ({ name, right, of, reference }) =>
    name.endsWith(" all") && right / of < reference - ALLOWED_LOSS,
);
for (const { name } of below) console.log(`More than 3 points below the reference: ${name}`);
process.exitCode = below.length > 0 || differing > 0 ? 1 : 0;

/**
 * Runs the items of one family on one backend.
 *
 * @param {ScoreSet} set
 * @param {"wasm" | "webgpu"} backend
 * @param {boolean} isSlice
 * @returns {Promise<Verdicts>} by part, then by place in the part
 */
function judge(set, backend, isSlice) {
  const folders = { "/model/": set.model, "/set/": set.folder };
  return withPage("score", folders, async ({ page }) => {
    const device = await openScorer(page, set, backend);
    const pages = [page];
    for (let count = 1; count < PAGES_AT_ONCE[backend]; count++) {
      const next = await page.context().newPage();
      await next.goto(page.url());
      await openScorer(next, set, backend);
      pages.push(next);
    }
    console.log(`\n${set.family}, ${backend} (${device}), ${values.quantization}`);
    const verdicts = new Map();
    for (const part of set.parts) verdicts.set(part.name, await judgePart(pages, part, isSlice));
    return verdicts;
  });
}

/**
 * @param {import("playwright").Page} page
 * @param {ScoreSet} set
 * @param {"wasm" | "webgpu"} backend
 * @returns {Promise<string>} what computes
 */
function openScorer(page, set, backend) {
  return page.evaluate(
    async (request) => {
      if (!globalThis.openScorer) throw new Error("The page has not started.");
      return (await globalThis.openScorer(request)).device;
    },
    /** @type {import("./page.ts").ScoreRequest} */ ({
      modelUrl: "./model/",
      setUrl: "./set/",
      backend,
      quantization: values.quantization,
      numbers: set.numbers,
    }),
  );
}

/**
 * Each page takes the next item when it is done with its last one.
 *
 * @param {readonly import("playwright").Page[]} pages
 * @param {ScorePart} part
 * @param {boolean} isSlice
 * @returns {Promise<Map<number, boolean>>} verdicts by place
 */
async function judgePart(pages, { name, call, items }, isSlice) {
  const verdicts = new Map();
  const queue = isSlice ? sliceOf(items) : [...items.entries()];
  const total = queue.length;
  const started = performance.now();
  await Promise.all(
    pages.map(async (page) => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        const [place, item] = next;
        verdicts.set(place, await judgeItem(page, call, item));
        if (process.stdout.isTTY) process.stdout.write(`\r${verdicts.size} of ${total}`);
      }
    }),
  );
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  const secondsEach = (performance.now() - started) / 1000 / total;
  console.log(`${name}: ${total} items, ${secondsEach.toFixed(1)} s each`);
  return verdicts;
}

/**
 * @param {import("playwright").Page} page
 * @param {ScorePart["call"]} call
 * @param {ScorePart["items"][number]} item
 */
function judgeItem(page, call, item) {
  const judged = /** @type {any} */ ({ call, item });
  return page.evaluate(
    (one) => globalThis.scorer?.[/** @type {"draw"} */ (one.call)](one.item) ?? false,
    judged,
  );
}

/**
 * Items spread evenly over the set, so that every kind has its share.
 *
 * @template Item
 * @param {readonly Item[]} items
 * @returns {[number, Item][]}
 */
function sliceOf(items) {
  const every = Math.max(1, items.length / sliceSize);
  const places = new Set(
    Array.from({ length: Math.min(sliceSize, items.length) }, (_, index) =>
      Math.floor(index * every),
    ),
  );
  return [...items.entries()].filter(([place]) => places.has(place));
}
