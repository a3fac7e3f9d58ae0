import { SplitPreTokenizer } from "@huggingface/tokenizers";
import * as fc from "fast-check";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";

import { MAX_TEXT_CHARACTERS } from "../../../src/base/check-values.ts";
import { checkTokenizerJson } from "../../../src/tokens/check-tokenizer-json.ts";
import { createTokenizer } from "../../../src/tokens/tokenizer.ts";
import {
  classRow,
  drawnPattern,
  HOSTILE_KINDS,
  nearbyPattern,
  runs,
} from "../../support/hostile-patterns.ts";

// what tokenizers of published models really hold
const PUBLISHED = {
  "deepseek letters": "\\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+",
  "deepseek punctuation": "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
  "deepseek characters": "[一-龥ࠀ-一가-퟿]+",
  "deepseek end of text": "\\s+$",
  "deepseek new lines": "[\r\n]",
  "deepseek v3":
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  qwen2:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  llama3:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  gpt2: "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  "gpt2, first spelling":
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  clip: "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
  o200k:
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "chameleon sentinels": "<sentinel:[0-9]+>",
  "chameleon codes": "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
  "chameleon spaces": "([\\t\\n]|    |  )",
  "chameleon punctuation": "[\\p{P}!-/:-@\\[-`{-~]",
} as const;

const HOSTILE = [
  "(a+)+",
  "(a+)+$",
  "(a|a)*",
  "(?:a*)*b",
  "([a-z]+)*",
  "(a|aa)+$",
  "(a|b|a)+c",
  "((a|b)+)+c",
  "(a|b)*(b|c)*d",
  "a*a*b",
  "a*(a+b)",
  "(a*)a*b",
  "\\s*\\s*\\s*x",
  "(?:a{1,99}){1,99}b",
  "a{1,30}a{1,30}b",
  "a?a?a?a?a?a?a?a?aaaaaaaa",
  "(a|b|ab)(a|b|ab)(a|b|ab)(a|b|ab)(a|b|ab)c",
  "(a)\\1",
  "\\k<name>",
  "(?<name>a)",
  "(?<=a+)b",
  "(?=a*b)a",
  "(?#comment)a",
  "a**",
  "+a",
  "(a",
  "a)",
  "[a",
  "[[[[[[a]]]]]]",
  "(((((((a)))))))",
  `[${"a".repeat(5000)}]`,
  // the library takes a first ] of a class for a letter
  "[^](a|[b])",
  "[]a+]b",
  // a place before the last match, which the library leaves out: a++ is left
  "a+\\G+b",
  // nothing to find
  "",
  "a*",
  "(?:)",
  "a|",
  "\\p{L}".repeat(200),
  "(A|B|C|D|E|F|G|H|I|J|K|L|M){1,40}Z",
];

const MODEL = { type: "BPE", vocab: { a: 0 }, merges: [] };

function split(pattern: string) {
  const kind = { type: "Split", behavior: "Isolated", invert: false } as const;
  return { ...kind, pattern: { Regex: pattern } };
}

/** The regular expression that is run for a pattern of a file; undefined where the file is refused. */
function compiled(pattern: string): RegExp | undefined {
  const part = split(pattern);
  try {
    const { pre_tokenizer: checked } = checkTokenizerJson({ model: MODEL, pre_tokenizer: part });
    return new SplitPreTokenizer(checked as typeof part).pattern ?? undefined;
  } catch (error) {
    // what the library cannot compile is refused too
    if (!(error instanceof SyntaxError))
      expect(error).toMatchObject({ code: "checkpoint-invalid" });
    return undefined;
  }
}

// The longest text that is taken. A match that costs the square of its length takes twice the limit and more,
// those that may run a fiftieth of it: a busy machine changes neither.
const CHARACTERS = MAX_TEXT_CHARACTERS;
const LIMIT_MS = (250 / 10_000) * CHARACTERS;

/** Milliseconds of the processor, compiling included; Infinity for a match that had to be stopped. */
function cost(expression: RegExp, text: string): number {
  const started = process.cpuUsage();
  try {
    const fresh = new RegExp(expression.source, expression.flags);
    runInNewContext("text.match(fresh)", { text, fresh }, { timeout: 4 * LIMIT_MS });
  } catch (error) {
    if ((error as { code?: unknown }).code === "ERR_SCRIPT_EXECUTION_TIMEOUT") return Infinity;
    throw error;
  }
  const { user, system } = process.cpuUsage(started);
  return (user + system) / 1000;
}

describe("a pattern of tokenizer.json", () => {
  test.each(Object.entries(PUBLISHED))("runs when published: %s", (_name, pattern) => {
    expect(compiled(pattern)).toBeInstanceOf(RegExp);
  });

  const refused = [...HOSTILE, ...HOSTILE_KINDS].filter((pattern) => pattern !== "\\s+$");
  test.each(refused.map((pattern) => [pattern.slice(0, 50), pattern]))(
    "is refused: %s",
    (_name, pattern) => {
      const file = { model: MODEL, pre_tokenizer: split(pattern) };
      const error = expect.objectContaining({
        code: "checkpoint-invalid",
        message: expect.stringContaining("tokenizer.json"),
      });
      expect(() => checkTokenizerJson(file)).toThrow(error);
      expect(() => createTokenizer(file)).toThrow(error);
    },
  );

  test("that is published costs at most 250 ms per 10 kB", () => {
    const texts = fc.sample(runs(CHARACTERS), { seed: 1, numRuns: 30 });
    for (const [name, pattern] of Object.entries(PUBLISHED)) {
      const expression = compiled(pattern);
      if (expression === undefined) throw new Error(`${name} is refused`);
      for (const text of new Set(texts)) {
        const seen = `${name} on ${JSON.stringify(text.slice(0, 12))}`;
        expect(cost(expression, text), seen).toBeLessThan(LIMIT_MS);
      }
    }
  });

  test("that may run costs at most 250 ms per 10 kB, whatever it is", () => {
    let allowed = 0;
    const one = (pattern: string, text: string): void => {
      const expression = compiled(pattern);
      if (expression === undefined) return;
      allowed++;
      expect(expression.test(""), "matches the empty string").toBe(false);
      expect(cost(expression, text)).toBeLessThan(LIMIT_MS);
    };
    const text = runs(CHARACTERS);
    fc.assert(fc.property(nearbyPattern, text, one), { seed: 1, numRuns: 1000 });
    fc.assert(fc.property(drawnPattern, text, one), { seed: 1, numRuns: 2000 });
    // both kinds of answers must occur for this to say anything
    expect(allowed).toBeGreaterThan(200);
  });

  test("that may run is compiled within 250 ms", () => {
    let allowed = 0;
    const one = (pattern: string): void => {
      const expression = compiled(pattern);
      if (expression === undefined) return;
      allowed++;
      // V8 compiles at the first match, and for texts of wide characters apart
      expect(cost(expression, "今a b\u{1F600}")).toBeLessThan(250);
    };
    fc.assert(fc.property(classRow, one), { seed: 1, numRuns: 300 });
    expect(allowed).toBeGreaterThan(20);
  });

  test("is DeepSeek's end of text, with the published matches", () => {
    const published = new SplitPreTokenizer(split("\\s+$")).pattern;
    const expression = compiled("\\s+$");
    if (published === null || expression === undefined) throw new Error("no pattern");
    const text = fc.string({ unit: fc.constantFrom(" ", "\n", "\t", "\r", "x"), maxLength: 12 });
    fc.assert(
      fc.property(text, (spaces) => {
        const places = (pattern: RegExp) =>
          [...spaces.matchAll(pattern)].map((match) => [match.index, match[0]]);
        expect(places(expression)).toEqual(places(published));
      }),
      { seed: 1, numRuns: 2000 },
    );
  });
});
