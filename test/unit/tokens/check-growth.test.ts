import { Tokenizer as Pipeline } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";

import { MAX_TEXT_CHARACTERS } from "../../../src/base/check-values.ts";
import { checkTokenizerJson } from "../../../src/tokens/check-tokenizer-json.ts";
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import { growingPart } from "../../support/hostile-patterns.ts";

const MODEL = { type: "BPE", vocab: { a: 0, b: 1 }, merges: [] };
const DECODER_REPLACE = { type: "Replace", pattern: { String: "a" }, content: "$&" };

const replace = (pattern: object, content: string) => ({ type: "Replace", pattern, content });
const normalizers = (...parts: object[]) => ({
  normalizer: { type: "Sequence", normalizers: parts },
});
const decoders = (...parts: object[]) => ({ decoder: { type: "Sequence", decoders: parts } });
const times = (count: number, part: object): object[] => Array.from({ length: count }, () => part);

describe("a tokenizer.json that makes texts grow is refused", () => {
  const a = { String: "a" };
  const template = (count: number) => ({
    type: "TemplateProcessing",
    single: times(count, { Sequence: { id: "A", type_id: 0 } }),
    pair: [],
  });

  test.each<[string, object]>([
    [
      "a pattern that matches nothing, 20 times",
      normalizers(...times(20, replace({ Regex: "x*" }, "y"))),
    ],
    ["an empty pattern", normalizers(replace({ Regex: "" }, "y"))],
    ["an empty group", normalizers(replace({ Regex: "(?:)" }, "y"))],
    ["an empty alternative", normalizers(replace({ Regex: "x|" }, "y"))],
    ["the match twice", normalizers(replace({ String: "aaaa" }, "$&$&"))],
    ["the text before the match", normalizers(replace({ String: "aa" }, "$`"))],
    ["the text behind the match", normalizers(replace({ String: "aa" }, "$'"))],
    ["any $", normalizers(replace({ Regex: "a" }, "$"))],
    ["a decoder's pattern that matches nothing", decoders(replace({ Regex: "x*" }, "y"))],
    [
      "a decoder's match twice",
      decoders({ ...DECODER_REPLACE, pattern: { String: "aaaa" }, content: "$&$&" }),
    ],
    ["compatibility forms twice", normalizers({ type: "NFKC" }, replace(a, "ﷺ"), { type: "NFKC" })],
    [
      "dots on capitals, again and again",
      normalizers(...times(10, [replace({ String: "i" }, "İ"), { type: "Lowercase" }]).flat()),
    ],
    ["a long prefix", normalizers({ type: "Prepend", prepend: "a".repeat(200) })],
    ["many prefixes", normalizers(...times(20, { type: "Prepend", prepend: "a" }))],
    ["a prefix that is a number", normalizers({ type: "Prepend", prepend: 7 })],
    [
      "spaces marked by two characters",
      { pre_tokenizer: { type: "Metaspace", replacement: "▁▁" } },
    ],
    ["spaces marked by $", { pre_tokenizer: { type: "Metaspace", str_rep: "$" } }],
    ["no mark, decoded as a space everywhere", { decoder: { type: "Metaspace", replacement: "" } }],
    ["no suffix, decoded as a space everywhere", { decoder: { type: "BPEDecoder", suffix: "" } }],
    [
      "bytes of bytes",
      { pre_tokenizer: { type: "Sequence", pretokenizers: times(4, { type: "ByteLevel" }) } },
    ],
    ["a template with the text twice", { post_processor: template(2) }],
    ["a template without the text", { post_processor: template(0) }],
    [
      "a thousand parts",
      normalizers(...times(32, { type: "Sequence", normalizers: times(32, { type: "Strip" }) })),
    ],
    [
      "nine patterns",
      {
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: times(9, { type: "Split", pattern: { Regex: "a" } }),
        },
      },
    ],
  ])("%s", (_name, parts) => {
    const error = expect.objectContaining({
      code: "checkpoint-invalid",
      message: expect.stringContaining("tokenizer.json"),
    });
    expect(() => createTokenizer({ model: MODEL, ...parts })).toThrow(error);
  });
});

describe("a normalizer that may run", () => {
  test("makes a text at most forty times longer", () => {
    const words = fc.string({
      unit: fc.constantFrom("a", "i", "İ", "ﷺ", " ", "x", "ΐ"),
      maxLength: 8,
    });
    let allowed = 0;
    fc.assert(
      fc.property(fc.array(growingPart, { minLength: 1, maxLength: 8 }), words, (parts, text) => {
        const file = { model: MODEL, ...normalizers(...parts) };
        let checked;
        try {
          checked = checkTokenizerJson(file);
        } catch (error) {
          expect(error).toMatchObject({ code: "checkpoint-invalid" });
          return;
        }
        allowed++;
        const { normalizer } = new Pipeline(checked, {});
        const length = normalizer?.normalize(text).length ?? 0;
        expect(length).toBeLessThanOrEqual(40 * Math.max(1, text.length));
      }),
      { seed: 1, numRuns: 3000 },
    );
    expect(allowed).toBeGreaterThan(100);
  });

  test("grows a single character by no more than its kind is known for", () => {
    const most = { NFC: 3, NFD: 4, NFKC: 18, NFKD: 18 } as const;
    for (let code = 0; code <= 0x10_ffff; code++) {
      const text = String.fromCodePoint(code);
      let isFine = text.toLowerCase().length <= 2 * text.length;
      for (const [form, factor] of Object.entries(most)) {
        isFine &&= text.normalize(form).length <= factor * text.length;
      }
      if (!isFine) expect.fail(`U+${code.toString(16)} grows more`);
    }
  });

  test("may still make more characters of a text than are encoded", () => {
    const tokenizer = createTokenizer({ model: MODEL, normalizer: { type: "NFKC" } });
    expect(tokenizer.encodeText("ａb")).toEqual([0, 1]);
    const error = expect.objectContaining({
      code: "checkpoint-invalid",
      message: expect.stringContaining("Shorten the text"),
    });
    const long = "ﷺ".repeat(MAX_TEXT_CHARACTERS);
    expect(() => tokenizer.encodeText(long)).toThrow(error);
    expect(() => tokenizer.encodeInside(long, { before: "a", behind: "b" })).toThrow(error);
  });
});
