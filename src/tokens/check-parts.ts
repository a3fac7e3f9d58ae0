// The sections of a tokenizer.json that change a text (normalizer, pre-tokenizer, post-processor, decoder):
// known kinds of parts only, few of them, patterns whose cost is known, and no way to make a text grow
// step by step. What comes out has the patterns that are compiled, which may be faster ones than the file's.
import { patternFault } from "./check-pattern.ts";
import { checkGrowth } from "./check-growth.ts";
import { invalidTokenizer, isRecord, type Json } from "./invalid-tokenizer.ts";
import { PUBLISHED_PATTERNS } from "./published-patterns.ts";

/** Parts inside parts. */
const MAX_DEPTH = 4;

/** Parts of a section, and items of a list; published sections have up to seven. */
const MAX_PARTS = 32;

/** Regular expressions of a section: each costs time to compile and time at each place. Chameleon has three. */
const MAX_PATTERNS = 8;

/** Strings of parts are single characters and tokens. */
const MAX_PART_CHARACTERS = 256;

const NORMALIZERS = ["Sequence", "Replace", "Prepend", "Strip", "StripAccents", "Lowercase"];
const UNICODE_FORMS = ["NFC", "NFD", "NFKC", "NFKD"];
const SPLITTERS = ["Split", "Digits", "Punctuation", "Whitespace", "WhitespaceSplit"];
const DECODERS = ["ByteLevel", "Metaspace", "BPEDecoder", "ByteFallback", "Replace", "Fuse"];

/** A section of the file. */
export type Section = "normalizer" | "pre_tokenizer" | "post_processor" | "decoder";

/** Kinds of parts that may run. */
const KINDS: Readonly<Record<Section, readonly string[]>> = {
  normalizer: [...NORMALIZERS, ...UNICODE_FORMS],
  pre_tokenizer: ["Sequence", "ByteLevel", "Metaspace", ...SPLITTERS],
  post_processor: ["Sequence", "TemplateProcessing", "ByteLevel", "RobertaProcessing"],
  decoder: ["Sequence", "Strip", ...DECODERS],
};

/** What was seen of a section so far. */
interface Seen {
  readonly section: Section;
  parts: number;
  patterns: number;
  /** How many times longer a text may become. */
  growth: number;
}

/**
 * A section as it may run; null where the file has none.
 *
 * @throws ModelError checkpoint-invalid
 */
export function checkSection(file: Json, section: Section): Json | null {
  const part = file[section] ?? null;
  if (part === null) return null;
  return checkPart(part, { section, parts: 0, patterns: 0, growth: 1 }, 0);
}

/** One part and the parts inside of it. */
function checkPart(part: unknown, seen: Seen, depth: number): Json {
  const { section } = seen;
  if (!isRecord(part)) throw invalidTokenizer(`has a ${section} that is not an object`);
  const kind = KINDS[section].find((known) => known === part["type"]);
  if (kind === undefined) throw invalidTokenizer(`has a ${section} of an unknown type`);
  if (depth > MAX_DEPTH) throw invalidTokenizer(`has a ${section} that is nested too deeply`);
  if (++seen.parts > MAX_PARTS) throw tooMany(section);
  if (kind === "Sequence") return checkSequence(part, seen, depth);
  checkStrings(part, section, 0);
  seen.growth = checkGrowth({ section, kind, part }, seen.growth);
  return kind === "Replace" || kind === "Split" ? checkPattern(part, seen) : part;
}

function checkSequence(part: Json, seen: Seen, depth: number): Json {
  const entries = Object.entries(part).map(([key, list]) => {
    if (key === "type") return [key, list] as const;
    checkLength(list, seen.section);
    return [key, list.map((inner) => checkPart(inner, seen, depth + 1))] as const;
  });
  return Object.fromEntries(entries);
}

function checkLength(list: unknown, section: Section): asserts list is readonly unknown[] {
  if (!Array.isArray(list) || list.length > MAX_PARTS) throw tooMany(section);
}

function tooMany(section: Section): Error {
  return invalidTokenizer(`has a ${section} whose parts are not a list of at most ${MAX_PARTS}`);
}

/** Every string and list inside a part is short. */
function checkStrings(value: unknown, section: Section, depth: number): void {
  if (depth > MAX_DEPTH + 2) throw invalidTokenizer(`has a ${section} that is nested too deeply`);
  if (typeof value === "string" && value.length > MAX_PART_CHARACTERS) {
    throw invalidTokenizer(`has a ${section} with a string of ${value.length} characters`);
  }
  if (Array.isArray(value)) checkLength(value, section);
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key !== "Regex") checkStrings(inner, section, depth + 1);
  }
}

/** The part with the pattern that is compiled. */
function checkPattern(part: Json, seen: Seen): Json {
  const { pattern, behavior = "" } = part;
  const { section } = seen;
  if (!isRecord(pattern)) throw invalidTokenizer(`has a ${section} without a pattern`);
  const { Regex: regex, String: literal } = pattern;
  if ((typeof regex === "string") === (typeof literal === "string")) {
    throw invalidTokenizer(`has a ${section} whose pattern is neither a Regex nor a String`);
  }
  if (typeof behavior !== "string") {
    throw invalidTokenizer(`has a ${section} whose behavior is not a text`);
  }
  if (typeof regex !== "string") return part;
  if (++seen.patterns > MAX_PATTERNS) {
    throw invalidTokenizer(`has a ${section} with more than ${MAX_PATTERNS} patterns`);
  }
  const known = PUBLISHED_PATTERNS.get(regex);
  const fault = known === undefined ? patternFault(regex) : undefined;
  if (fault === undefined) return { ...part, pattern: { Regex: known ?? regex } };
  throw invalidTokenizer(
    `has a ${section} with a pattern that is not run: ${fault}. Use the tokenizer.json that the model's ` +
      "authors published",
  );
}
