// tokenizer.json as text <-> ids. Wraps @huggingface/tokenizers (12 KB, runs the file's own pipeline); what
// is ours: strings that a user typed never become control tokens, a stream of ids never shows half a
// character, and a file from outside is looked at before any of its patterns runs.
import { Tokenizer as Pipeline } from "@huggingface/tokenizers";
import { fail } from "../base/errors.ts";

/** Text <-> ids of one checkpoint. */
export interface Tokenizer {
  /** Ids in the file, appended ones included. */
  readonly vocabularySize: number;
  /**
   * Ids of text as data: special tokens inside it are spelled out like any other text, none is added.
   * Added tokens that are not special (frequent words) are still used.
   */
  encodeText(text: string): number[];
  /** Ids of text whose special tokens count; none is added. For templates, never for what a user typed. */
  encodeTemplate(text: string): number[];
  /** Text of ids, special tokens left out. */
  decode(ids: readonly number[]): string;
  /** Id of a token by its exact string. */
  idOf(token: string): number | undefined;
  /** Id of a token that the model cannot do without. @throws ModelError checkpoint-invalid */
  requireId(token: string): number;
  /** A tokenizer that has these special tokens: missing ones get the next free ids, in order. */
  withAddedTokens(tokens: readonly string[]): Tokenizer;
}

/** Text that grows with every id. */
export interface TextStream {
  /** The text that is certain now and was not before; "" inside a character. */
  push(id: number): string;
  /** What was held back. */
  end(): string;
}

interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

type TokenizerJson = Readonly<Record<string, unknown>> & {
  readonly added_tokens: readonly AddedToken[];
};

/**
 * A tokenizer from the parsed tokenizer.json and tokenizer_config.json (may be absent).
 *
 * @throws ModelError checkpoint-invalid when the file is no tokenizer, or has a pattern that could hang
 */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  const json = checkJson(tokenizerJson);
  const config = isRecord(tokenizerConfig) ? tokenizerConfig : {};
  checkPatterns(json);
  return build(json, config);
}

function build(json: TokenizerJson, config: Record<string, unknown>): Tokenizer {
  const plain = json.added_tokens.filter(({ special }) => !special);
  const [template, text] = [
    openPipeline(json, config),
    openPipeline({ ...json, added_tokens: plain }, config),
  ];
  const vocabulary = template.get_vocab(true);
  const without = { add_special_tokens: false };
  const tokenizer: Tokenizer = {
    vocabularySize: vocabulary.size,
    encodeText: (input) => (input === "" ? [] : text.encode(input, without).ids),
    encodeTemplate: (input) => (input === "" ? [] : template.encode(input, without).ids),
    decode: (ids) =>
      ids.length === 0 ? "" : template.decode([...ids], { skip_special_tokens: true }),
    idOf: (token) => template.token_to_id(token),
    requireId: (token) => template.token_to_id(token) ?? missing(token),
    withAddedTokens: (tokens) => build(append(json, vocabulary, tokens), config),
  };
  return tokenizer;
}

/**
 * A stream of text for one answer.
 *
 * A character may span several ids: while the text ends inside one the stream waits.
 */
export function createTextStream(tokenizer: Pick<Tokenizer, "decode">): TextStream {
  // Decoding depends on what stands before (a leading space), so the last shown ids are decoded again.
  let shown: number[] = [];
  let held: number[] = [];
  const fresh = (): string => {
    const before = tokenizer.decode(shown);
    return tokenizer.decode([...shown, ...held]).slice(before.length);
  };
  const show = (text: string): string => {
    // An id without text (a skipped special token) must not cut off what gives context.
    if (text !== "") shown = held;
    held = [];
    return text;
  };
  return {
    push(id) {
      held.push(id);
      const text = fresh();
      return isInsideCharacter(text) ? "" : show(text);
    },
    end: () => (held.length === 0 ? "" : show(fresh())),
  };
}

// A character that is not complete ends the text as one U+FFFD, in some decoders one for each of its up to
// three bytes; a longer run is what the model said.
function isInsideCharacter(text: string): boolean {
  return text.endsWith("\uFFFD") && !text.endsWith("\uFFFD".repeat(4));
}

function openPipeline(json: object, config: object): Pipeline {
  try {
    return new Pipeline(json, config);
  } catch (cause) {
    throw invalid(
      `cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

function append(
  json: TokenizerJson,
  vocabulary: ReadonlyMap<string, number>,
  tokens: readonly string[],
): TokenizerJson {
  let next = 0;
  for (const id of vocabulary.values()) next = Math.max(next, id + 1);
  const added = tokens
    .filter((token, index) => !vocabulary.has(token) && tokens.indexOf(token) === index)
    .map((content) => ({ id: next++, content, special: true, ...AS_WRITTEN }));
  // A token that is in the file as an ordinary one marks a picture here, so it counts as special.
  const known = json.added_tokens.map((token) =>
    tokens.includes(token.content) ? { ...token, special: true } : token,
  );
  return { ...json, added_tokens: [...known, ...added] };
}

const AS_WRITTEN = { single_word: false, lstrip: false, rstrip: false, normalized: false };

function checkJson(json: unknown): TokenizerJson {
  if (!isRecord(json) || !isRecord(json["model"])) throw invalid("has no model");
  const added = json["added_tokens"] ?? [];
  if (!Array.isArray(added) || !added.every(isAddedToken)) {
    throw invalid("has added_tokens that are not { id, content, special }");
  }
  return { ...json, added_tokens: added };
}

function isAddedToken(value: unknown): value is AddedToken {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value["id"]) &&
    Number(value["id"]) >= 0 &&
    typeof value["content"] === "string" &&
    value["content"] !== "" &&
    ["boolean", "undefined"].includes(typeof value["special"])
  );
}

/** Longest pattern that is run; DeepSeek's longest has some 900 characters. */
const MAX_PATTERN_LENGTH = 20_000;
const MAX_DEPTH = 32;
// A repeated group that repeats inside, as in (a+)+, takes exponential time on hostile text.
const NESTED_REPETITION =
  /\((?:[^()\\]|\\.)*(?:[+*]|\{\d+,\d*\})(?:[^()\\]|\\.)*\)(?:[+*]|\{\d+,\d*\})/;

function checkPatterns(value: unknown, depth = 0): void {
  if (depth > MAX_DEPTH) throw invalid("is nested too deeply");
  if (!isRecord(value) && !Array.isArray(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    if (key === "vocab" || key === "merges") continue;
    if (key === "Regex") checkPattern(inner);
    else checkPatterns(inner, depth + 1);
  }
}

function checkPattern(pattern: unknown): void {
  if (typeof pattern !== "string" || pattern.length > MAX_PATTERN_LENGTH) {
    throw invalid(`has a pattern that is no text of at most ${MAX_PATTERN_LENGTH} characters`);
  }
  if (NESTED_REPETITION.test(pattern)) {
    throw invalid(`has a pattern with a repetition inside a repetition: ${pattern.slice(0, 80)}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function missing(token: string): never {
  throw invalid(`has no token ${token}`);
}

function invalid(what: string, cause?: unknown): Error {
  return fail("checkpoint-invalid", `tokenizer.json ${what}.`, { file: "tokenizer.json" }, cause);
}
