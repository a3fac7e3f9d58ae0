// How much longer the parts of a tokenizer.json may make a text. One replacement that doubles it is nothing;
// twenty in a row make four million characters of three.
import { invalidTokenizer, isRecord, type Json } from "./invalid-tokenizer.ts";

/**
 * How many times longer a section may make a text in the worst case, in UTF-16 units. NFKC and lower case
 * together are 36, marked spaces (a prefix and NFKC) too; bytes as letters are 4.
 */
const MAX_GROWTH: Readonly<Record<string, number>> = { normalizer: 40, pre_tokenizer: 8 };

/**
 * Worst growth of the kinds that are not here for 1. Unicode forms: https://www.unicode.org/faq/normalization
 * (NFKC makes 18 characters of U+FDFA). Lower case: U+0130. Bytes: three for a unit, and a space before it.
 */
const GROWTH: Readonly<Record<string, number>> = {
  NFC: 3,
  NFD: 4,
  NFKC: 18,
  NFKD: 18,
  Lowercase: 2,
  Metaspace: 2,
  ByteLevel: 4,
};

/** A part that is no sequence, and where it stands. */
export interface PlacedPart {
  readonly section: string;
  readonly kind: string;
  readonly part: Json;
}

/**
 * The growth of a section with one more part.
 *
 * @throws ModelError checkpoint-invalid for a part that grows a text for no reason, or too many that do
 */
export function checkGrowth(placed: PlacedPart, before: number): number {
  const { section, kind, part } = placed;
  if (kind === "Replace" || kind === "Split") checkReplacement(part, section);
  if (kind === "Metaspace") checkMark(part, section);
  if (kind === "TemplateProcessing") checkTemplate(part, section);
  // the decoder's library puts a space at each place of an empty suffix
  if (kind === "BPEDecoder" && (typeof part["suffix"] !== "string" || part["suffix"] === "")) {
    throw invalidTokenizer(`has a ${section} without a suffix`);
  }
  const growth = before * (kind === "Prepend" ? prefixGrowth(part, section) : (GROWTH[kind] ?? 1));
  const most = MAX_GROWTH[section];
  if (most === undefined || growth <= most) return most === undefined ? before : growth;
  throw invalidTokenizer(`has a ${section} that may make a text ${growth} times longer`);
}

/** A prefix is put before each stretch between added tokens, which may be a single character. */
function prefixGrowth({ prepend }: Json, section: string): number {
  if (typeof prepend === "string") return 1 + prepend.length;
  throw invalidTokenizer(`has a ${section} whose prefix is not a text`);
}

/** What a match is replaced by is not longer than the match. */
function checkReplacement({ pattern, content = "" }: Json, section: string): void {
  const literal = isRecord(pattern) ? pattern["String"] : undefined;
  // a Regex that may run matches at least one character: see check-pattern.ts
  const allowed = typeof literal === "string" ? literal.length : 1;
  if (typeof content !== "string" || content.length > allowed || literal === "") {
    throw invalidTokenizer(`has a ${section} that replaces a text by a longer one`);
  }
  // String.replaceAll takes $& for the match and $` for all the text before it
  if (content.includes("$")) {
    throw invalidTokenizer(`has a ${section} that replaces a text by one with a $`);
  }
}

/** What marks a space is one character, and no `$`: it is a replacement too. */
function checkMark({ replacement, str_rep: other }: Json, section: string): void {
  for (const mark of [replacement ?? "▁", other ?? "▁"]) {
    if (typeof mark !== "string" || mark.length !== 1 || mark === "$") {
      throw invalidTokenizer(
        `has a ${section} that marks spaces by something else than a character`,
      );
    }
  }
}

/** A template holds a text once: more of them in a row would double it each. */
function checkTemplate({ single }: Json, section: string): void {
  const isText = (item: unknown): boolean => isRecord(item) && Object.hasOwn(item, "Sequence");
  if (Array.isArray(single) && single.filter(isText).length === 1) return;
  throw invalidTokenizer(`has a ${section} whose template does not hold the text once`);
}
