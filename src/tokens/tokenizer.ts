// tokenizer.json as text <-> ids. Wraps @huggingface/tokenizers, which runs the file's own pipeline. What is
// ours: a file from outside is checked before it runs, strings that a user typed never become control
// tokens, tags that a processor appends get the reference's ids, and ids without text are left out.
import { Tokenizer as Pipeline } from "@huggingface/tokenizers";
import { MAX_TEXT_CHARACTERS } from "../base/check-values.ts";
import { checkTokenizerJson, type AddedToken, type TokenizerJson } from "./check-tokenizer-json.ts";
import { cutControls } from "./cut-controls.ts";
import { invalidTokenizer, isRecord } from "./invalid-tokenizer.ts";

export { createTextStream, type TextStream } from "./text-stream.ts";

/** How text becomes ids. */
export interface EncodeOptions {
  /** Put around the text what the checkpoint wants there, as a begin of sentence. Default false. */
  readonly addSpecialTokens?: boolean;
}

/** What stands around a user's text. */
export interface Template extends EncodeOptions {
  readonly before: string;
  readonly behind: string;
  /** Special tokens that the text may hold: markers without any power. */
  readonly allowed?: readonly string[];
}

/** How ids become text. */
export interface DecodeOptions {
  /** Leave control tokens out. Default true. */
  readonly skipSpecialTokens?: boolean;
}

/** Text <-> ids of one checkpoint. */
export interface Tokenizer {
  /** Tokens that have an id, appended ones included: `len(tokenizer)` of the reference. */
  readonly vocabularySize: number;
  /**
   * Ids of text whose special tokens count. For templates, never for what a user typed.
   *
   * @throws RangeError for more than 100,000 characters
   */
  encode(text: string, options?: EncodeOptions): number[];
  /**
   * Ids of text as data: no control token is added or recognised. One that is spelled out in the text is cut
   * behind its first character, and both halves are ordinary text, so that it decodes to what was typed.
   * Added tokens that are not special (frequent words) are still used.
   *
   * @throws RangeError for more than 100,000 characters; ModelError checkpoint-invalid when the file's
   *   normalizer makes far more of them
   */
  encodeText(text: string): number[];
  /**
   * Ids of a template with a user's text inside, encoded as one string, as the references do it: special
   * tokens count in the template and are ordinary text inside. Where one string would make a control token
   * of the text after all (a normalizer's doing), template and text are encoded apart and it is left out.
   *
   * @throws RangeError for more than 100,000 characters; ModelError checkpoint-invalid as encodeText
   */
  encodeInside(text: string, template: Template): number[];
  /** Text of ids; ids without a token give none. */
  decode(ids: readonly number[], options?: DecodeOptions): string;
  /** Id of a token by its exact string. */
  idOf(token: string): number | undefined;
  /** Id of a token that the model cannot do without. @throws ModelError checkpoint-invalid */
  requireId(token: string): number;
  /** String of a token as the file has it: spaces and bytes may be spelled in other letters. */
  tokenOf(id: number): string | undefined;
  /** True for control tokens: begin and end of sentence, padding, tags. */
  isSpecial(id: number): boolean;
  /**
   * A tokenizer in which these are control tokens: missing ones get the next free ids, in order, as the
   * reference's processors append theirs.
   */
  withAddedTokens(tokens: readonly string[]): Tokenizer;
}

/** What a tokenizer is made of; appended tokens are known to us only. */
interface Parts {
  readonly pipeline: Pipeline;
  readonly size: number;
  readonly nextId: number;
  /** Ids put before and behind a text. */
  readonly around: { readonly before: readonly number[]; readonly behind: readonly number[] };
  /** Control tokens by id. */
  readonly special: ReadonlyMap<number, string>;
  /** Ids of tokens that are not in the file. */
  readonly appended: ReadonlyMap<string, number>;
}

/**
 * A tokenizer from the parsed tokenizer.json and tokenizer_config.json (may be absent).
 *
 * @throws ModelError checkpoint-invalid for what is no tokenizer, is of an unknown kind, is too large, or
 *   has a pattern that could hang
 */
export function createTokenizer(tokenizerJson: unknown, tokenizerConfig?: unknown): Tokenizer {
  const config = isRecord(tokenizerConfig) ? tokenizerConfig : {};
  const json = withLlamaTemplate(checkTokenizerJson(tokenizerJson), config);
  const added = json.added_tokens;
  const modelSize = Object.keys(json.model.vocab).length;
  const outside = added.filter(({ content }) => !Object.hasOwn(json.model.vocab, content));
  const named = CONTROL_KEYS.map((key) => namedToken(config[key]) ?? "");
  const special = added
    .filter((token) => token.special || named.includes(token.content))
    .map(({ id, content }) => [id, content] as const);
  return build({
    ...openPipeline(json),
    size: modelSize + new Set(outside.map(({ id }) => id)).size,
    // where the reference's library puts the next one
    nextId: added.reduce((next, { id }) => Math.max(next, id + 1), modelSize),
    special: new Map(special),
    appended: new Map(),
  });
}

/** Longest text that the file's normalizer may make: four times the longest that is taken. */
const MAX_NORMALIZED_CHARACTERS = 4 * MAX_TEXT_CHARACTERS;

const CONTROL_KEYS = ["bos_token", "eos_token", "pad_token"];

function build(parts: Parts): Tokenizer {
  const { pipeline, special, appended, around } = parts;
  const idOf = (token: string): number | undefined =>
    appended.get(token) ?? pipeline.token_to_id(token);
  const tokenOf = (id: number): string | undefined => special.get(id) ?? pipeline.id_to_token(id);
  return {
    vocabularySize: parts.size,
    encode(text, { addSpecialTokens = false } = {}) {
      const ids = encodeAround(checkLength(text), parts);
      return addSpecialTokens ? [...around.before, ...ids, ...around.behind] : ids;
    },
    encodeText: (text) => encodeAsData(checkLength(text), parts),
    encodeInside(text, template) {
      const ids = encodeInTemplate(checkLength(text), template, parts);
      return template.addSpecialTokens ? [...around.before, ...ids, ...around.behind] : ids;
    },
    decode: (ids, { skipSpecialTokens = true } = {}) => decode(ids, parts, skipSpecialTokens),
    idOf,
    requireId: (token) => idOf(token) ?? missing(token),
    tokenOf,
    isSpecial: (id) => special.has(id),
    withAddedTokens: (tokens) => build(append(parts, tokens, idOf)),
  };
}

/** Ids of text in which the file's own special tokens and the appended ones count. */
function encodeAround(text: string, { pipeline, appended }: Parts): number[] {
  const ids: number[] = [];
  for (const piece of splitAt(text, [...appended.keys()])) {
    const id = appended.get(piece);
    if (id === undefined) ids.push(...run(pipeline, piece));
    else ids.push(id);
  }
  return ids;
}

/** Ids of text of which no part may count as a control token. */
function encodeAsData(text: string, parts: Parts): number[] {
  const ids = cutControls(text, parts.special.values()).flatMap((piece) =>
    run(parts.pipeline, piece),
  );
  // a normalizer may still have made a control token out of other letters: it is dropped
  return ids.filter((id) => !parts.special.has(id));
}

/** Ids of a template and the text inside, as one string unless that makes a control token of the text. */
function encodeInTemplate(text: string, template: Template, parts: Parts): number[] {
  const { before, behind, allowed = [] } = template;
  const controls = new Map([...parts.special].filter(([, control]) => !allowed.includes(control)));
  const encodeAll = (pieces: readonly string[]): number[] =>
    pieces.flatMap((piece) => encodeAround(piece, parts));
  const pieces = cutControls(text, controls.values());
  const whole = [...pieces];
  whole[0] = before + (whole[0] ?? "");
  whole[whole.length - 1] = (whole.at(-1) ?? "") + behind;
  const ids = encodeAll(whole);
  const [first, last] = [encodeAll([before]), encodeAll([behind])];
  const own = [...first, ...last].filter((id) => controls.has(id));
  const found = ids.filter((id) => controls.has(id));
  if (found.length === own.length && found.every((id, at) => id === own[at])) return ids;
  // a normalizer made a control token out of other letters, or one goes on where the template ends
  return [...first, ...encodeAll(pieces).filter((id) => !controls.has(id)), ...last];
}

function run(pipeline: Pipeline, text: string): number[] {
  if (text === "") return [];
  const length = pipeline.normalizer?.normalize(text).length ?? 0;
  if (length > MAX_NORMALIZED_CHARACTERS) {
    throw invalidTokenizer(
      `makes ${length} characters out of ${text.length}, more than ${MAX_NORMALIZED_CHARACTERS}. ` +
        "Shorten the text, or use the tokenizer.json that the model's authors published",
    );
  }
  const { ids } = pipeline.encode(text, { add_special_tokens: false });
  // the library gives undefined where a file has neither the letter nor an unknown token
  return ids.filter((id) => Number.isInteger(id));
}

function decode(ids: readonly number[], { pipeline, special }: Parts, skip: boolean): string {
  let text = "";
  let plain: number[] = [];
  const flush = (): void => {
    if (plain.length > 0) text += pipeline.decode(plain, { skip_special_tokens: false });
    plain = [];
  };
  for (const id of ids) {
    const control = special.get(id);
    if (control === undefined) {
      if (pipeline.id_to_token(id) !== undefined) plain.push(id);
    } else if (!skip) {
      flush();
      text += control;
    }
  }
  flush();
  return text;
}

/** The text in pieces, each of which is one of the strings or holds none of them; the longest one counts. */
function splitAt(text: string, strings: readonly string[]): string[] {
  if (strings.length === 0) return [text];
  const longestFirst = strings.toSorted((a, b) => b.length - a.length);
  const pattern = new RegExp(`(${longestFirst.map(escapePattern).join("|")})`, "u");
  return text.split(pattern).filter((piece) => piece !== "");
}

function escapePattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}

function append(
  parts: Parts,
  tokens: readonly string[],
  idOf: (token: string) => number | undefined,
): Parts {
  const special = new Map(parts.special);
  const appended = new Map(parts.appended);
  let { nextId, size } = parts;
  for (const token of tokens) {
    let id = appended.get(token) ?? idOf(token);
    if (id === undefined) {
      id = nextId++;
      size++;
      appended.set(token, id);
    }
    // one that the file has as an ordinary token is a control token from here on
    special.set(id, token);
  }
  return { ...parts, nextId, size, special, appended };
}

/** The file's pipeline, proven to run, and what its post-processor puts around a text. */
function openPipeline(json: TokenizerJson): Pick<Parts, "pipeline" | "around"> {
  try {
    const pipeline = new Pipeline(json, {
      // references do not clean up spaces before punctuation for these families; the library would
      clean_up_tokenization_spaces: false,
      // where the library looks for a word-level model's unknown token
      unk_token: json.model.unk_token,
    });
    const around = surroundings(pipeline);
    pipeline.decode(run(pipeline, "a b").concat(0));
    return { pipeline, around };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw invalidTokenizer(`cannot be used: ${reason}`, cause);
  }
}

function surroundings(pipeline: Pipeline): Parts["around"] {
  const inner = run(pipeline, "a");
  const { ids: all } = pipeline.encode(inner.length > 0 ? "a" : "", { add_special_tokens: true });
  const ids = all.filter((id) => Number.isInteger(id));
  const start = ids.findIndex((_, at) => inner.every((id, i) => ids[at + i] === id));
  if (inner.length === 0 || start < 0) return { before: ids, behind: [] };
  return { before: ids.slice(0, start), behind: ids.slice(start + inner.length) };
}

/**
 * The reference's LlamaTokenizerFast puts its own template in place of the file's, by two flags of
 * tokenizer_config.json.
 *
 * @see https://github.com/huggingface/transformers/blob/v4.46.3/src/transformers/models/llama/tokenization_llama_fast.py#L183
 */
function withLlamaTemplate(
  json: TokenizerJson,
  config: Readonly<Record<string, unknown>>,
): TokenizerJson {
  const { tokenizer_class: name, add_bos_token: addBos, add_eos_token: addEos } = config;
  if (typeof name !== "string" || !name.startsWith("LlamaTokenizer")) return json;
  const before = addBos === false ? undefined : templateToken(json, config["bos_token"]);
  const behind = addEos === true ? templateToken(json, config["eos_token"]) : undefined;
  const sequence = { Sequence: { id: "A", type_id: 0 } };
  const single = [before, sequence, behind].filter((item) => item !== undefined);
  return { ...json, post_processor: { type: "TemplateProcessing", single, pair: single } };
}

function templateToken(json: TokenizerJson, token: unknown): object | undefined {
  const content = namedToken(token);
  const isKnown = (added: AddedToken): boolean => added.content === content;
  if (content === undefined || !json.added_tokens.some(isKnown)) return undefined;
  return { SpecialToken: { id: content, type_id: 0 } };
}

/** A token in tokenizer_config.json: its string, or an object around it. */
function namedToken(token: unknown): string | undefined {
  const content = isRecord(token) ? token["content"] : token;
  return typeof content === "string" && content !== "" ? content : undefined;
}

function checkLength(text: string): string {
  if (text.length <= MAX_TEXT_CHARACTERS) return text;
  throw new RangeError(
    `A text must have at most ${MAX_TEXT_CHARACTERS} characters, got ${text.length}.`,
  );
}

function missing(token: string): never {
  throw invalidTokenizer(`has no token ${token}`);
}
