// Regular expressions that a hostile tokenizer.json may hold, and texts on which they take long.
import * as fc from "fast-check";

/** Kinds that were once allowed: each hangs on a text of some kilobytes, or on none. */
export const HOSTILE_KINDS = [
  // the library compiles (?:x{1,3})+y
  "x{1,3}+y",
  "[^y]{0,3}+y",
  // alternatives that are no choices: 80 ** 4 ways on a text of one character
  `(?:${"|".repeat(80)}){4}b`,
  `${`(?:${"|".repeat(80)})`.repeat(4)}b`,
  // choices that multiply with a loop
  "x{1,4}x{1,4}x{1,4}x{1,4}x+y",
  "x?x?x?x?x*y",
  // one loop before something that may fail: tried from every place of a run
  "x+y",
  "\\s+$",
  "x+(?!x)y",
  // minutes to compile, without any text
  "[^\\p{L}\\p{N}\\s\\p{P}]".repeat(8),
  "\\p{L}{1,4}".repeat(3),
] as const;

const atom = fc.constantFrom(
  ..."x y . [xy] [^y] \\p{L} \\P{L} \\s (x|y) \\w".split(" "),
  ..."$ ^ \\b (?!y) (?=x) (?i:x) [x&&[xy]] [^] \\x78 { ]".split(" "),
);
const quantifier = fc.constantFrom(
  ..."   + * ? {1,3} {2} {0,4} {2,} {,3} ?? +? *+ ++ {1,3}+ {1,3}? {2}+".split(" "),
);

const { pattern } = fc.letrec<{ item: string; row: string; pattern: string }>((tie) => ({
  item: fc
    .tuple(
      fc.oneof(
        { maxDepth: 2, withCrossShrink: true },
        atom,
        tie("pattern").map((inside) => `(?:${inside})`),
      ),
      quantifier,
    )
    .map((texts) => texts.join("")),
  row: fc.array(tie("item"), { maxLength: 5 }).map((items) => items.join("")),
  pattern: fc.array(tie("row"), { minLength: 1, maxLength: 4 }).map((rows) => rows.join("|")),
}));

/** Patterns of few letters, so that their parts compete for the same text. Few of them may run. */
export const drawnPattern: fc.Arbitrary<string> = pattern;

const set = fc.constantFrom(..."x y [xy] [^y] \\p{L} \\s . \\P{N} [^\\p{L}\\p{N}\\s]".split(" "));
const few = fc.constantFrom("", "", "", "?", "{1,2}", "{2}", "{1,3}");
const last = fc.constantFrom("", "+", "*", "{2,}", "+y?", "+[xy]*", "*y", "+y", "+$", "+(?!x)");

const wide = fc.constantFrom("\\p{L}", "\\P{N}", "[^\\p{L}\\p{N}\\s\\p{P}]", ".", "[^y]");

/** Rows of classes of many ranges, some of which take long to compile. */
export const classRow: fc.Arbitrary<string> = fc
  .tuple(wide, wide, few, fc.integer({ min: 1, max: 5 }))
  .map(([one, other, times, count]) => `${one}${times}${other}`.repeat(count));

const prefix = fc.array(fc.tuple(set, few), { maxLength: 4 }).map((items) => items.flat().join(""));

/** Patterns near the edge of what may run. */
export const nearbyPattern: fc.Arbitrary<string> = fc
  .array(
    fc.tuple(prefix, set, last).map((texts) => texts.join("")),
    { minLength: 1, maxLength: 2 },
  )
  .map((rows) => rows.join("|"));

const UNITS = ["x", "y", "xy", " ", "x ", "\n", " \n", "X", "1", "'", "今", "\u0301", "IMGIMGA"];

/** Texts of one unit again and again, with an end on which a match fails. */
export function runs(characters: number): fc.Arbitrary<string> {
  return fc
    .tuple(fc.constantFrom(...UNITS), fc.constantFrom("", "!", "b", "\u{1F600}"))
    .map(([unit, end]) => unit.repeat(Math.ceil(characters / unit.length)) + end);
}

const content = fc.constantFrom("", "a", "i", "İ", "ﷺ", "x", "$&$&", "$`", "aa");
const matched = fc.oneof(
  fc.constantFrom("a", "i", "\u0307", " ", "ل", "aaaa", "").map((text) => ({ String: text })),
  fc.constantFrom("x*", "", "(?:)", "x|", "[ai]", "\\s", "x?").map((text) => ({ Regex: text })),
);

/** Parts of a normalizer that make texts longer, alone or one after the other. */
export const growingPart: fc.Arbitrary<object> = fc.oneof(
  fc.record({ type: fc.constant("Replace"), pattern: matched, content }),
  fc.constantFrom("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip").map((type) => ({ type })),
  fc.constantFrom("a", "ﷺ", "i".repeat(50)).map((prepend) => ({ type: "Prepend", prepend })),
);
