// `npm run score`: how many prompts of a held-out set the embedded model draws as they ask, and how many
// questions it answers right, against the authors' architecture in f32 (reference.json). The whole set runs on
// the wasm backend; a slice of it on WebGPU must come to the same verdicts.
//   --slice [N]         only N items of each set (24), spread evenly, on both backends
//   --backend wasm      one backend only (also webgpu)
//   --quantization q8   default: q8
//   --json FILE         also writes what was counted
// Fails when a score is more than 3 points below the reference's, or the backends disagree.
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { describeCommit, describeMachine, withPage } from "../support/open-page.mjs";
import { ROOT, setUp } from "../support/set-up.mjs";

/** @typedef {import("./page.ts").PromptItem} PromptItem */
/** @typedef {import("./page.ts").QuestionItem} QuestionItem */
/** @typedef {{ drawing: Map<number, boolean>, questions: Map<number, boolean>, device: string }} Verdicts */
/** @typedef {{ name: string, right: number, of: number, reference: number, same: number }} Line */

const SET = join(ROOT, "test/score/janus-flow");
const SLICE = 24;
const ALLOWED_LOSS = 0.03;

// A worker of the wasm backend takes one core; SwiftShader takes all there are.
const PAGES_AT_ONCE = { wasm: Math.min(4, availableParallelism()), webgpu: 1 };

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    slice: { type: "boolean", default: false },
    backend: { type: "string" },
    quantization: { type: "string", default: "q8" },
    json: { type: "string" },
  },
});

/** @type {readonly PromptItem[]} */
const prompts = readSet("prompts.json");
/** @type {readonly QuestionItem[]} */
const questions = readSet("questions.json");
const reference = readSet("reference.json");
const sliceSize = Number(positionals[0] ?? SLICE);

setUp();
const wasm = values.backend === "webgpu" ? undefined : await judge("wasm", values.slice);
const webgpu = values.backend === "wasm" ? undefined : await judge("webgpu", true);
const lines = [wasm, webgpu].flatMap((verdicts) => (verdicts ? report(verdicts) : []));
const disagreements = wasm && webgpu ? compare(wasm, webgpu) : 0;
if (values.json !== undefined) {
  const run = { machine: describeMachine(), commit: describeCommit(), lines, disagreements };
  writeFileSync(values.json, `${JSON.stringify(run, null, 2)}\n`);
}
const isBelow = lines.some(
  ({ name, right, of, reference: wanted }) =>
    name.endsWith(" all") && right / of < wanted - ALLOWED_LOSS,
);
if (isBelow) console.log("\nA score is more than 3 points below the reference's.");
process.exitCode = isBelow || disagreements > 0 ? 1 : 0;

/** @param {string} file */
function readSet(file) {
  return JSON.parse(readFileSync(join(SET, file), "utf8"));
}

/**
 * Runs the items on one backend.
 *
 * @param {"wasm" | "webgpu"} backend
 * @param {boolean} isSlice
 * @returns {Promise<Verdicts>}
 */
function judge(backend, isSlice) {
  const folders = { "/model/": join(ROOT, "demo/models/tiny-janusflow"), "/set/": SET };
  return withPage("score", folders, async ({ page }) => {
    const device = await openScorer(page, backend);
    const pages = [page];
    for (let count = 1; count < PAGES_AT_ONCE[backend]; count++) {
      const next = await page.context().newPage();
      await next.goto(page.url());
      await openScorer(next, backend);
      pages.push(next);
    }
    console.log(`\n${backend} (${device}), ${values.quantization}, ${pages.length} at a time`);
    const drawing = await judgeAll(pages, isSlice ? sliceOf(prompts) : all(prompts), (one, item) =>
      one.evaluate((it) => globalThis.scorer?.draw(it) ?? false, item),
    );
    const answers = await judgeAll(
      pages,
      isSlice ? sliceOf(questions) : all(questions),
      (one, item) => one.evaluate((it) => globalThis.scorer?.answer(it) ?? false, item),
    );
    return { drawing, questions: answers, device: backend };
  });
}

/**
 * @param {import("playwright").Page} page
 * @param {"wasm" | "webgpu"} backend
 * @returns {Promise<string>} what computes
 */
function openScorer(page, backend) {
  return page.evaluate(
    async (request) => {
      if (!globalThis.openScorer) throw new Error("The page has not started.");
      return (await globalThis.openScorer(request)).device;
    },
    /** @type {import("./page.ts").ScoreRequest} */ ({
      modelUrl: "./model/",
      sheetUrl: "./set/questions.png",
      backend,
      quantization: values.quantization,
      steps: reference.steps,
      guidance: reference.guidance,
    }),
  );
}

/**
 * Each page takes the next item when it is done with its last one.
 *
 * @template Item
 * @param {readonly import("playwright").Page[]} pages
 * @param {readonly (readonly [number, Item])[]} items
 * @param {(page: import("playwright").Page, item: Item) => Promise<boolean>} judgeOne
 * @returns {Promise<Map<number, boolean>>} verdicts by place in the whole set
 */
async function judgeAll(pages, items, judgeOne) {
  const verdicts = new Map();
  const queue = [...items];
  const started = performance.now();
  await Promise.all(
    pages.map(async (page) => {
      for (let next = queue.shift(); next; next = queue.shift()) {
        verdicts.set(next[0], await judgeOne(page, next[1]));
        if (process.stdout.isTTY) process.stdout.write(`\r${verdicts.size} of ${items.length}`);
      }
    }),
  );
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  const secondsEach = (performance.now() - started) / 1000 / items.length;
  console.log(`${items.length} items, ${secondsEach.toFixed(1)} s each`);
  return verdicts;
}

/**
 * @template Item
 * @param {readonly Item[]} items
 * @returns {(readonly [number, Item])[]}
 */
function all(items) {
  return [...items.entries()];
}

/**
 * Items spread evenly over the set, so that every task has its share.
 *
 * @template Item
 * @param {readonly Item[]} items
 */
function sliceOf(items) {
  const every = Math.max(1, items.length / sliceSize);
  const places = Array.from({ length: Math.min(sliceSize, items.length) }, (_, index) =>
    Math.floor(index * every),
  );
  return all(items).filter(([index]) => places.includes(index));
}

/**
 * Prints the table of one backend.
 *
 * @param {Verdicts} verdicts
 * @returns {Line[]}
 */
function report({ drawing, questions: answered, device }) {
  const table = [
    ...linesOf(
      `${device} draws`,
      drawing,
      prompts.map(({ task }) => task),
      reference.drawing,
    ),
    ...linesOf(
      `${device} answers`,
      answered,
      questions.map(({ kind }) => kind),
      reference.questions,
    ),
  ];
  console.log(
    `\n${"".padEnd(32)} ${"right".padStart(9)} ${"score".padStart(6)}  reference  same verdict`,
  );
  for (const { name, right, of, reference: wanted, same } of table) {
    const score = (right / of).toFixed(3);
    const fraction = `${right}/${of}`.padStart(9);
    console.log(
      `${name.padEnd(32)} ${fraction} ${score.padStart(6)}  ${wanted.toFixed(3).padStart(9)}  ${same}/${of}`,
    );
  }
  return table;
}

/**
 * One line for every kind of item and one for all, against the reference's verdicts on the same items.
 *
 * @param {string} title
 * @param {Map<number, boolean>} verdicts
 * @param {readonly string[]} kinds - of every item of the set
 * @param {{ verdicts: readonly boolean[] }} wanted
 * @returns {Line[]}
 */
function linesOf(title, verdicts, kinds, wanted) {
  return [...new Set(kinds), "all"].flatMap((kind) => {
    const places = [...verdicts.keys()].filter((place) => kind === "all" || kinds[place] === kind);
    if (places.length === 0) return [];
    const right = places.filter((place) => verdicts.get(place)).length;
    const same = places.filter((place) => verdicts.get(place) === wanted.verdicts[place]).length;
    const expected = places.filter((place) => wanted.verdicts[place]).length / places.length;
    return [{ name: `${title} ${kind}`, right, of: places.length, reference: expected, same }];
  });
}

/**
 * @param {Verdicts} one
 * @param {Verdicts} other
 * @returns {number} items of both on which they disagree
 */
function compare(one, other) {
  let count = 0;
  for (const part of /** @type {const} */ (["drawing", "questions"])) {
    for (const [place, verdict] of other[part]) {
      if (one[part].has(place) && one[part].get(place) !== verdict) count += 1;
    }
  }
  console.log(`\nwasm and webgpu disagree on ${count} items of the slice`);
  return count;
}
