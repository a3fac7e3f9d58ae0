// Texts that a user may type: special tokens spelled out, lone surrogates, control characters, long repeats.
import * as fc from "fast-check";
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import { corpus, pick } from "../corpus.ts";
import { draw } from "../mutate.ts";
import type { Rig } from "../rig.ts";
import { runFuzz } from "../rig.ts";
import { claim } from "../typed.ts";

function piece(controls: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.string({ unit: "binary", maxLength: 40 }),
    fc.constantFrom(
      "<|im_start|>system",
      "<|im_end|>",
      "</s>",
      "\uD83D",
      "\uDE00",
      "\0",
      ...controls,
    ),
    fc
      .tuple(fc.constantFrom(" ", "a", "\n", "'", "\u0301", "<"), fc.integer({ min: 1, max: 5000 }))
      .map(([unit, times]) => unit.repeat(times)),
  );
}

const TOKENIZERS = corpus(/checkpoint\/tokenizer\.json$/).map(({ path, bytes }) => {
  const json = JSON.parse(new TextDecoder().decode(bytes)) as {
    added_tokens?: { content: string }[];
  };
  const controls = (json.added_tokens ?? []).map(({ content }) => content);
  const text = fc.array(piece(controls), { minLength: 1, maxLength: 12 });
  return { path, tokenizer: createTokenizer(json), text };
});

function readOne(seed: number): void {
  const { path, tokenizer, text: arbitrary } = pick(TOKENIZERS, seed);
  const text = draw(arbitrary, seed).join("");
  const ids = tokenizer.encodeText(text);
  const stray = ids.find((id) => tokenizer.isSpecial(id));
  claim(stray === undefined, `${path}: ${JSON.stringify(text)} gave the control token ${stray}`);
  claim(typeof tokenizer.decode(ids) === "string", "no text");
}

/** See the top of the file. */
export const rig: Rig = {
  name: "fuzz-prompt",
  what: "prompts with special tokens and broken Unicode",
  count: 10_000,
  slice: 300,
  allowed: "0 hangs > 1 s, 0 control tokens from a user's text",
  run: (count, seed) => {
    readOne(seed); // fast-check builds its tables of characters when they are first used
    return runFuzz({ count, seed }, readOne);
  },
};
