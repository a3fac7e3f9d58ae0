// The held-out sets of every embedded model: test/score/<family>/, written by demo/models/train.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../support/set-up.mjs";

/** @typedef {import("./page.ts").PromptItem} PromptItem */
/** @typedef {import("./page.ts").QuestionItem} QuestionItem */
/** @typedef {import("./page.ts").EditItem} EditItem */
/**
 * @typedef {object} ScorePart
 * @property {"draws" | "answers" | "edits"} name
 * @property {"draw" | "answer" | "edit"} call - what of the page's scorer judges an item
 * @property {readonly (PromptItem | QuestionItem | EditItem)[]} items
 * @property {readonly string[]} kinds - of every item
 * @property {readonly boolean[]} reference - verdicts on what the Python reference made of every item
 */
/**
 * @typedef {object} ScoreSet
 * @property {string} family
 * @property {string} model - folder of the embedded model
 * @property {string} folder - of the set itself
 * @property {import("./page.ts").ScoreNumbers} numbers
 * @property {readonly ScorePart[]} parts
 */

const MODELS = {
  "janus-flow": "tiny-janusflow",
  janus: "tiny-janus",
  chameleon: "tiny-chameleon",
  transfusion: "tiny-transfusion",
  omnigen: "tiny-omnigen",
  "nexus-gen": "tiny-nexusgen",
  pisces: "tiny-pisces",
};

const PARTS = /** @type {const} */ ([
  { name: "draws", call: "draw", file: "prompts.json", key: "drawing" },
  { name: "answers", call: "answer", file: "questions.json", key: "questions" },
  { name: "edits", call: "edit", file: "edits.json", key: "edits" },
]);

/**
 * The sets of all embedded models that are in the repository, or of one.
 *
 * @param {string | undefined} only - a family
 * @returns {ScoreSet[]}
 */
export function readSets(only) {
  const sets = Object.entries(MODELS).flatMap(([family, name]) => {
    const folder = join(ROOT, "test/score", family);
    const model = join(ROOT, "demo/models", name);
    const isThere = existsSync(join(folder, "reference.json")) && existsSync(model);
    if (!isThere || (only !== undefined && only !== family)) return [];
    return [readSet(family, model, folder)];
  });
  if (sets.length > 0) return sets;
  throw new Error(`No embedded model has a score set${only ? ` of the family "${only}"` : ""}.`);
}

/**
 * @param {string} family
 * @param {string} model
 * @param {string} folder
 * @returns {ScoreSet}
 */
function readSet(family, model, folder) {
  /** @param {string} file */
  const read = (file) => JSON.parse(readFileSync(join(folder, file), "utf8"));
  const reference = read("reference.json");
  const parts = PARTS.flatMap(({ name, call, file, key }) => {
    if (reference[key] === undefined) return [];
    const items = read(file);
    const kinds = items.map((/** @type {{ task?: string, kind?: string }} */ item) =>
      String(item.task ?? item.kind),
    );
    return [{ name, call, items, kinds, reference: reference[key].verdicts }];
  });
  const { steps, guidance, imageGuidance } = reference;
  const edits = { steps, guidance, imageGuidance, ...reference.edits?.numbers };
  return { family, model, folder, numbers: { draws: { steps, guidance }, edits }, parts };
}
