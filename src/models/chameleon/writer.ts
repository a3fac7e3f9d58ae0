// Chameleon writes: a context of ids in a cache of one row, an answer of the ids that text is made of.
// https://github.com/facebookresearch/chameleon/blob/dbbe47f/chameleon/inference/chameleon.py#L206-L290
import type { Message } from "../../base/requests.ts";
import { FORBIDDEN_TOKEN, SEEN_TOKEN, type Session, type Tensor } from "../../session/runtime.ts";
import type { TokenCore } from "../../tokens/generate-tokens.ts";
import type { StageContext, WrittenPrompt } from "../family.ts";
import { answerRoom } from "../request-limits.ts";
import { codesPerPicture, type ChameleonConfig } from "./config.ts";
import { Contexts } from "./contexts.ts";
import type { PictureCodes } from "./picture-codes.ts";
import { promptLength, type PromptPart } from "../prompt-parts.ts";
import { answerPrompt, PICTURE_MARKS, type ChameleonTokens } from "./prompt.ts";

/** What the stages of a model share: compiled once, owned by whoever made them. */
export interface SharedStages {
  readonly embed: Session;
  readonly pictures: PictureCodes;
  readonly tokens: ChameleonTokens;
}

/** How an answer may go on. */
export interface WriteOptions {
  readonly maxTokens: number;
  /** May the answer begin a picture. */
  readonly mayDraw: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** The writing half of a Chameleon model. */
export class ChameleonWriter {
  readonly #context: StageContext<ChameleonConfig>;
  readonly #shared: SharedStages;
  readonly #contexts: Contexts;
  readonly #rules: Tensor;
  #ids: readonly number[] = [];

  private constructor(context: StageContext<ChameleonConfig>, shared: SharedStages) {
    this.#context = context;
    this.#shared = shared;
    this.#contexts = new Contexts(context, shared.embed);
    this.#rules = context.runtime.createTensor("u32", [context.config.language.vocabularySize]);
  }

  /** Compiles the core; weights must be loaded. */
  static async create(
    context: StageContext<ChameleonConfig>,
    shared: SharedStages,
  ): Promise<ChameleonWriter> {
    const writer = new ChameleonWriter(context, shared);
    await writer.#contexts.open([1], 1);
    return writer;
  }

  /** Does the decode loop replay a captured command list; else why not. */
  get capture(): Contexts["capture"] {
    return this.#contexts.capture;
  }

  /** Every id of the conversation that the last `begin` or `extend` brought to the device. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const parts = answerPrompt(messages, this.#shared.tokens);
    return this.begin(parts, { maxTokens, mayDraw: false, signal });
  }

  /** A new conversation. @throws RangeError when it alone fills the model's context */
  async begin(parts: readonly PromptPart[], options: WriteOptions): Promise<WrittenPrompt> {
    const { language } = this.#context.config;
    const length = promptLength(parts, codesPerPicture(this.#context.config) + PICTURE_MARKS);
    answerRoom({ length, maxTokens: options.maxTokens, maxPositions: language.maxPositions });
    const ids = await readIds(parts, this.#shared.pictures, options.signal);
    return this.extend(ids, 0, options);
  }

  /**
   * Brings a conversation to the device that has room for at least one more token.
   *
   * @param known - ids at the beginning that the cache holds: of the last conversation, and answered since
   */
  async extend(
    ids: readonly number[],
    known: number,
    { maxTokens, mayDraw, signal }: WriteOptions,
  ): Promise<WrittenPrompt> {
    const room = Math.min(maxTokens, this.#context.config.language.maxPositions - ids.length);
    const isKept = await this.#contexts.open([1], ids.length + room);
    signal?.throwIfAborted();
    await this.#contexts.fill(ids, { from: isKept ? known : 0 });
    this.#ids = ids;
    const core = this.#ruled(mayDraw);
    const rules = this.#rules;
    return {
      promptTokens: ids.length,
      room,
      core,
      rules,
      repetitionPenalty: this.#context.config.generation.repetitionPenalty,
    };
  }

  async dispose(): Promise<void> {
    this.#rules.dispose();
    await this.#contexts.dispose();
  }

  /** Writes what may be picked, and the core that forbids pictures once there is no room for one. */
  #ruled(mayDraw: boolean): TokenCore {
    const { runtime, config } = this.#context;
    const { vocabulary, language } = config;
    const rules = new Uint32Array(language.vocabularySize).fill(FORBIDDEN_TOKEN);
    for (const id of [vocabulary.eos, ...vocabulary.textIds]) rules[id] = 0;
    const picture = codesPerPicture(config) + PICTURE_MARKS;
    const beforeLast = language.maxPositions - picture - this.#ids.length;
    if (mayDraw && beforeLast > 0) rules[vocabulary.boi] = 0;
    for (const id of this.#ids) rules[id] = (rules[id] ?? 0) | SEEN_TOKEN;
    runtime.write(this.#rules, rules);
    const { core } = this.#contexts;
    if (!mayDraw || beforeLast <= 0) return core;
    const forbid = (): void => {
      runtime.write(this.#rules, Uint32Array.of(FORBIDDEN_TOKEN), vocabulary.boi * 4);
    };
    return afterDecodes(core, beforeLast, forbid);
  }
}

/** All ids of a prompt, pictures as codes. @throws the signal's reason */
export async function readIds(
  parts: readonly PromptPart[],
  pictures: PictureCodes,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const ids: number[] = [];
  for (const part of parts) {
    signal?.throwIfAborted();
    const more = part.kind === "ids" ? part.ids : await pictures.encode(part.pixels);
    for (const id of more) ids.push(id);
  }
  return ids;
}

/** The core, with something done before its n-th decode is queued. */
function afterDecodes(core: TokenCore, count: number, act: () => void): TokenCore {
  const { logits, vocabularySize, token, advance } = core;
  let decodes = 0;
  const decode = (): Promise<void> => {
    decodes += 1;
    if (decodes === count) act();
    return core.decode();
  };
  return { logits, vocabularySize, token, advance, decode };
}
