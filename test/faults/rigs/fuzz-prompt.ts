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

/** A normalizer that builds control tokens out of other letters, as a repository's file may hold one. */
const REBUILDING = { type: "Sequence", normalizers: [{ type: "NFKC" }, { type: "Lowercase" }] };

/** A control token as other letters that {@link REBUILDING} takes for the same. */
function disguised(control: string): string {
  return control.replaceAll(/[!-~]/g, (letter) =>
    String.fromCharCode(letter.charCodeAt(0) + 0xfee0),
  );
}

interface Json {
  readonly added_tokens?: readonly { readonly content: string }[];
}

/** A tokenizer whose control tokens are looked for behind its normalizer. */
function rebuilding(json: Json): Json {
  const added_tokens = (json.added_tokens ?? []).map((token) => ({
    ...token,
    content: token.content.toLowerCase().normalize("NFKC"),
    normalized: true,
  }));
  return { ...json, added_tokens, normalizer: REBUILDING } as Json;
}

const TOKENIZERS = corpus(/checkpoint\/tokenizer\.json$/).flatMap(({ path, bytes }) => {
  const published = JSON.parse(new TextDecoder().decode(bytes)) as Json;
  return [published, rebuilding(published)].map((json) => {
    const controls = (json.added_tokens ?? []).map(({ content }) => content);
    const text = fc.array(piece([...controls, ...controls.map(disguised)]), {
      minLength: 1,
      maxLength: 12,
    });
    const end = fc.array(
      fc.oneof(fc.constantFrom("User: ", "\n", ""), fc.constantFrom("", ...controls)),
      {
        maxLength: 3,
      },
    );
    return { path, tokenizer: createTokenizer(json), text, template: fc.tuple(end, end) };
  });
});

function readOne(seed: number): void {
  const { path, tokenizer, text: arbitrary, template } = pick(TOKENIZERS, seed);
  const text = draw(arbitrary, seed).join("");
  const controls = (ids: readonly number[]): string =>
    ids.filter((id) => tokenizer.isSpecial(id)).join(" ");
  const place = `${path}: ${JSON.stringify(text.slice(0, 200))}`;

  const ids = tokenizer.encodeText(text);
  claim(controls(ids) === "", `${place} gave the control tokens ${controls(ids)}`);
  claim(typeof tokenizer.decode(ids) === "string", "no text");

  const [before = "", behind = ""] = draw(template, seed).map((texts) => texts.join(""));
  const own = controls([...tokenizer.encode(before), ...tokenizer.encode(behind)]);
  const found = controls(tokenizer.encodeInside(text, { before, behind }));
  claim(found === own, `${place} in a template gave the control tokens ${found}, not ${own}`);
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
