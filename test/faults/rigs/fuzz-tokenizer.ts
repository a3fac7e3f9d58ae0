// Damaged tokenizers, and what those that are taken do to a text. One in five holds what a hostile author would
// put there: patterns that backtrack, and replacements that make a text grow.
import * as fc from "fast-check";
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import { parseJson } from "../../../src/weights/json-file.ts";
import { damageJson } from "../../support/damage-json.ts";
import { corpus, pick } from "../corpus.ts";
import {
  classRow,
  drawnPattern,
  growingPart,
  HOSTILE_KINDS,
  nearbyPattern,
  runs,
} from "../../support/hostile-patterns.ts";
import { byteDamage, damageBytes, draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim, orRefused } from "../typed.ts";

/** Larger ones are parsed for most of a run. */
const MAX_BYTES = 200_000;
const FILES = corpus(/checkpoint\/tokenizer\.json$/, MAX_BYTES).map(({ bytes }) => ({
  bytes,
  text: new TextDecoder().decode(bytes),
}));
/** More than the ids of such a text can spell: tokens of these files have up to some 30 characters. */
const MAX_DECODED = 1_000_000;
const TEXT = `The image, 今天 12 <|im_end|> ${"a".repeat(2000)} \uD83D don't${" ".repeat(300)}`;

const hostilePattern = fc.oneof(
  fc.constantFrom(...HOSTILE_KINDS),
  classRow,
  drawnPattern,
  nearbyPattern,
);
const split = hostilePattern.map((regex) => ({ type: "Split", pattern: { Regex: regex } }));
const patternReplacement = hostilePattern.map((regex) => ({
  type: "Replace",
  pattern: { Regex: regex },
  content: "x",
}));
const several = <T>(part: fc.Arbitrary<T>): fc.Arbitrary<T[]> =>
  fc.array(part, { minLength: 1, maxLength: 6 });
const splits = several(split).map((parts) => ({
  pre_tokenizer: { type: "Sequence", pretokenizers: parts },
}));
const rewrites = several(fc.oneof(growingPart, patternReplacement));

/** Sections of a file that a hostile author wrote. */
const plant: fc.Arbitrary<object> = fc.oneof(
  splits,
  rewrites.map((parts) => ({ normalizer: { type: "Sequence", normalizers: parts } })),
  rewrites.map((parts) => ({ decoder: { type: "Sequence", decoders: parts } })),
);
const run = runs(10_000);

function damaged(seed: number): string {
  const { text, bytes } = pick(FILES, seed);
  if (seed % 5 === 1) return JSON.stringify({ ...JSON.parse(text), ...draw(plant, seed) });
  if (seed % 5 > 0) return JSON.stringify(damageJson(JSON.parse(text), seed)) ?? "";
  return new TextDecoder().decode(damageBytes(bytes, draw(byteDamage, seed)));
}

async function readOne(seed: number): Promise<void> {
  await orRefused(["checkpoint-invalid"], () => {
    const tokenizer = createTokenizer(parseJson(damaged(seed), "tokenizer.json"));
    for (const text of [TEXT, draw(run, seed)]) {
      const ids = tokenizer.encodeText(text);
      claim(
        ids.every((id) => Number.isInteger(id) && !tokenizer.isSpecial(id)),
        "a control token",
      );
      const decoded = tokenizer.decode(ids);
      claim(typeof decoded === "string" && decoded.length <= MAX_DECODED, "a text that grew");
    }
  });
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-tokenizer",
  what: "mutated tokenizers, with a text through each",
  count: 10_000,
  slice: 200,
  allowed: "0 hangs > 1 s, 0 untyped errors, 0 polluted prototypes",
  run: (count, seed) => runFuzz({ count, seed }, readOne),
};
