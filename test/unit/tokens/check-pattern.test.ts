import { describe, expect, test } from "vitest";

import { patternFault } from "../../../src/tokens/check-pattern.ts";

// what tokenizers of published models really hold
const PUBLISHED = {
  "deepseek letters": "\\s?[A-Za-zµÀ-ÖØ-öø-ƺ]+",
  "deepseek end of text": "\\s+$",
  "deepseek new lines": "[\r\n]",
  "deepseek v3":
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  qwen2:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  llama3:
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  gpt2: "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
  clip: "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
  o200k:
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  "chameleon codes": "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z",
  "class of classes": "[^[\\s][a-z]]+",
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
];

describe("patternFault", () => {
  test.each(Object.entries(PUBLISHED))("allows %s", (_name, pattern) => {
    expect(patternFault(pattern)).toBeUndefined();
  });

  test.each(HOSTILE)("refuses %s", (pattern) => {
    expect(patternFault(pattern)).toEqual(expect.any(String));
  });

  test("what it allows is fast on 10 kB of the worst texts", () => {
    const texts = [" ", "a", "\n", "'", "1", "今"].map(
      (character) => `${character.repeat(10_000)}x!`,
    );
    for (const pattern of Object.values(PUBLISHED)) {
      const expression = new RegExp(
        pattern.replaceAll("(?i:", "(?:").replace("[^[\\s][a-z]]", "a"),
        "gu",
      );
      for (const text of texts) {
        const start = performance.now();
        text.match(expression);
        expect(performance.now() - start, pattern).toBeLessThan(1000);
      }
    }
  });
});
