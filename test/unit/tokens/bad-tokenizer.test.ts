import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import { damageJson } from "../../support/damage-json.ts";

const DAMAGED_FILES = 2000;

function readTokenizer(): Record<string, unknown> {
  const file = new URL("../../golden/janus-flow/b/checkpoint/tokenizer.json", import.meta.url);
  return JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
}

describe("createTokenizer refuses", () => {
  const model = { type: "BPE", vocab: { a: 0 }, merges: [] };
  const split = (pattern: object): object => ({ type: "Split", pattern, behavior: "Isolated" });
  const nested = (depth: number): object =>
    depth === 0 ? { type: "NFC" } : { type: "Sequence", normalizers: [nested(depth - 1)] };

  test.each<[string, unknown]>([
    ["nothing", undefined],
    ["a list", []],
    ["a text", "{}"],
    ["no model", { added_tokens: [] }],
    ["an unknown model", { model: { type: "Other", vocab: {} } }],
    ["a model without merges", { model: { type: "BPE", vocab: {} } }],
    ["merges of three", { model: { ...model, merges: [["a", "b", "c"]] } }],
    ["merges without a space", { model: { ...model, merges: ["ab"] } }],
    ["an id that is a text", { model: { ...model, vocab: { a: "0" } } }],
    ["an id that is negative", { model: { ...model, vocab: { a: -1 } } }],
    ["an id that is enormous", { model: { ...model, vocab: { a: 2 ** 40 } } }],
    ["a token of a megabyte", { model: { ...model, vocab: { ["a".repeat(1e6)]: 0 } } }],
    ["added tokens that are none", { model, added_tokens: [{ id: -1, content: "x" }] }],
    ["added tokens without content", { model, added_tokens: [{ id: 1, content: "" }] }],
    [
      "an added token with a strange flag",
      { model, added_tokens: [{ id: 1, content: "x", special: 1 }] },
    ],
    [
      "100,000 added tokens",
      { model, added_tokens: Array.from({ length: 1e5 }, (_, id) => ({ id, content: `${id}` })) },
    ],
    ["an unknown normalizer", { model, normalizer: { type: "Precompiled" } }],
    ["an unknown decoder", { model, decoder: { type: "__proto__" } }],
    ["a part that is a text", { model, decoder: "ByteLevel" }],
    ["parts nested deeply", { model, normalizer: nested(6) }],
    ["a sequence that is none", { model, normalizer: { type: "Sequence", normalizers: "NFC" } }],
    [
      "a hundred parts",
      {
        model,
        normalizer: {
          type: "Sequence",
          normalizers: Array.from({ length: 100 }, () => ({ type: "NFC" })),
        },
      },
    ],
    ["a pattern that hangs", { model, pre_tokenizer: split({ Regex: "(a+)+$" }) }],
    [
      "a pattern that hangs, inside a sequence",
      { model, pre_tokenizer: { type: "Sequence", pretokenizers: [split({ Regex: "(a|a)*b" })] } },
    ],
    ["an endless pattern", { model, pre_tokenizer: split({ Regex: "a".repeat(30_000) }) }],
    ["a broken pattern", { model, pre_tokenizer: split({ Regex: "[z-a]" }) }],
    ["a pattern that is a number", { model, pre_tokenizer: split({ Regex: 7 }) }],
    ["no pattern", { model, pre_tokenizer: { type: "Split" } }],
    [
      "a replacement that makes text grow",
      { model, normalizer: { type: "Replace", pattern: { String: "a" }, content: "aa" } },
    ],
    [
      "a replacement of nothing",
      { model, normalizer: { type: "Replace", pattern: { String: "" }, content: "a" } },
    ],
    [
      "a prefix of a megabyte",
      { model, normalizer: { type: "Prepend", prepend: "a".repeat(1e6) } },
    ],
    [
      "a template that is none",
      { model, post_processor: { type: "TemplateProcessing", single: 7 } },
    ],
  ])("%s as checkpoint-invalid", (_, json) => {
    expect(() => createTokenizer(json)).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test("or takes every damaged file, and nothing else happens", () => {
    const file = readTokenizer();
    let taken = 0;
    for (let seed = 0; seed < DAMAGED_FILES; seed++) {
      try {
        const tokenizer = createTokenizer(damageJson(file, seed));
        taken++;
        const ids = tokenizer.encodeText("The image, 今天 12");
        expect(tokenizer.decode(ids)).toEqual(expect.any(String));
      } catch (error) {
        expect(error, `seed ${seed}`).toMatchObject({ code: "checkpoint-invalid" });
      }
    }
    // damage that only changes tokens is no reason to refuse a file
    expect(taken).toBeGreaterThan(DAMAGED_FILES / 20);
    expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  });
});
