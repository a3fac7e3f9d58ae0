// Damaged tokenizers, and what those that are taken do to a text.
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import { parseJson } from "../../../src/weights/json-file.ts";
import { damageJson } from "../../support/damage-json.ts";
import { corpus, pick } from "../corpus.ts";
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
const TEXT = `The image, 今天 12 <|im_end|> ${"a".repeat(2000)} \uD83D don't${" ".repeat(300)}`;

function damaged(seed: number): string {
  const { text, bytes } = pick(FILES, seed);
  if (seed % 5 > 0) return JSON.stringify(damageJson(JSON.parse(text), seed)) ?? "";
  return new TextDecoder().decode(damageBytes(bytes, draw(byteDamage, seed)));
}

async function readOne(seed: number): Promise<void> {
  await orRefused(["checkpoint-invalid"], () => {
    const tokenizer = createTokenizer(parseJson(damaged(seed), "tokenizer.json"));
    const ids = tokenizer.encodeText(TEXT);
    claim(
      ids.every((id) => Number.isInteger(id) && !tokenizer.isSpecial(id)),
      "a control token",
    );
    claim(typeof tokenizer.decode(ids) === "string", "no text");
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
