// A tokenizer.json from outside, before anything of it runs: types, sizes, known kinds of parts, and
// patterns that cannot hang. What comes out has only what was looked at.
import { checkSection } from "./check-parts.ts";
import { invalidTokenizer, isRecord, type Json } from "./invalid-tokenizer.ts";

/** A string with an id of its own, found in the text before the model sees it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** Steers the model; left out of decoded text. */
  readonly special: boolean;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
}

/** The parts of a tokenizer.json that are run; names are the file's. */
export interface TokenizerJson {
  readonly model: ModelJson;
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
}

/** How a piece of text becomes ids. */
export type ModelJson = BytePairJson | WordLevelJson;

/** Whole words by their place in a list. */
export interface WordLevelJson {
  readonly type: "WordLevel";
  readonly vocab: Readonly<Record<string, number>>;
  readonly unk_token: string | null;
}

/** Byte-pair encoding: what all published checkpoints of the families here use. */
export interface BytePairJson {
  readonly type: "BPE";
  readonly vocab: Readonly<Record<string, number>>;
  readonly merges: readonly unknown[];
  readonly unk_token: string | null;
  readonly end_of_word_suffix: string | null;
  readonly continuing_subword_suffix: string | null;
  readonly byte_fallback: boolean;
  readonly ignore_merges: boolean;
  readonly fuse_unk: boolean;
}

/** Ids of the largest published vocabulary end at 262,144. */
const MAX_ID = 2 ** 20;
const MAX_MERGES = 2 ** 20;
/** Published files have up to some 900; each becomes a path in a tree of characters. */
const MAX_ADDED_TOKENS = 8192;
const MAX_ADDED_CHARACTERS = 400_000;
const MAX_TOKEN_CHARACTERS = 1024;
/** Prefixes and unknown tokens of a model are short. */
const MAX_MODEL_STRING = 256;

/** @throws ModelError checkpoint-invalid with what is wrong and where */
export function checkTokenizerJson(json: unknown): TokenizerJson {
  if (!isRecord(json)) throw invalidTokenizer("is missing or not a JSON object");
  return {
    model: checkModel(json["model"]),
    added_tokens: checkAddedTokens(json["added_tokens"] ?? []),
    normalizer: checkSection(json, "normalizer"),
    pre_tokenizer: checkSection(json, "pre_tokenizer"),
    post_processor: checkSection(json, "post_processor"),
    decoder: checkSection(json, "decoder"),
  };
}

function checkModel(model: unknown): ModelJson {
  if (!isRecord(model)) throw invalidTokenizer("has no model");
  const { type = "BPE", vocab, merges } = model;
  if (!isRecord(vocab)) throw invalidTokenizer("has a model without a vocab");
  for (const [token, id] of Object.entries(vocab)) checkToken(token, id, "vocab");
  const words = vocab as Record<string, number>;
  if (type === "WordLevel") return { type, vocab: words, unk_token: textOf(model, "unk_token") };
  if (type !== "BPE") throw invalidTokenizer("has a model that is neither BPE nor WordLevel");
  if (!Array.isArray(merges) || merges.length > MAX_MERGES || !merges.every(isMerge)) {
    throw invalidTokenizer(`has merges that are not a list of at most ${MAX_MERGES} pairs`);
  }
  return {
    type: "BPE",
    vocab: words,
    merges,
    unk_token: textOf(model, "unk_token"),
    end_of_word_suffix: textOf(model, "end_of_word_suffix"),
    continuing_subword_suffix: textOf(model, "continuing_subword_suffix"),
    byte_fallback: model["byte_fallback"] === true,
    ignore_merges: model["ignore_merges"] === true,
    fuse_unk: model["fuse_unk"] === true,
  };
}

function checkToken(token: string, id: unknown, where: string): void {
  if (!Number.isInteger(id) || Number(id) < 0 || Number(id) >= MAX_ID) {
    throw invalidTokenizer(`has a token in ${where} whose id is not an integer below ${MAX_ID}`);
  }
  if (token.length > MAX_TOKEN_CHARACTERS) {
    throw invalidTokenizer(`has a token in ${where} of ${token.length} characters`);
  }
}

function isMerge(merge: unknown): boolean {
  if (typeof merge === "string") return merge.includes(" ");
  return (
    Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === "string")
  );
}

function textOf(model: Json, key: string): string | null {
  const value = model[key] ?? null;
  if (value === null || (typeof value === "string" && value.length <= MAX_MODEL_STRING))
    return value;
  throw invalidTokenizer(`has a model whose ${key} is no short string`);
}

function checkAddedTokens(list: unknown): AddedToken[] {
  if (!Array.isArray(list) || list.length > MAX_ADDED_TOKENS) {
    throw invalidTokenizer(`has added_tokens that are not a list of at most ${MAX_ADDED_TOKENS}`);
  }
  const tokens = list.map(checkAddedToken);
  const characters = tokens.reduce((sum, { content }) => sum + content.length, 0);
  if (characters > MAX_ADDED_CHARACTERS) {
    throw invalidTokenizer(`has added_tokens of ${characters} characters together`);
  }
  return tokens;
}

function checkAddedToken(token: unknown): AddedToken {
  if (!isRecord(token) || typeof token["content"] !== "string" || token["content"] === "") {
    throw invalidTokenizer("has added_tokens that are not { id, content, special }");
  }
  const { id, content } = token;
  checkToken(content, id, "added_tokens");
  const flag = (name: string, fallback = false): boolean => {
    const value = token[name] ?? fallback;
    if (typeof value === "boolean") return value;
    throw invalidTokenizer(`has an added token whose ${name} is neither true nor false`);
  };
  const special = flag("special");
  return {
    id: Number(id),
    content,
    special,
    single_word: flag("single_word"),
    lstrip: flag("lstrip"),
    rstrip: flag("rstrip"),
    normalized: flag("normalized", !special),
  };
}
