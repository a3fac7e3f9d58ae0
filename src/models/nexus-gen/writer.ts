// Nexus-Gen answers: a conversation with pictures in the cache, and answers that hold pictures. Everything is
// kept so that a cache which had to leave the device can be filled again.
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import type { Message } from "../../base/requests.ts";
import type { ResidentStage } from "../../session/residency.ts";
import type { InterleaveRequest, InterleaveStage, WriteStage, WrittenPrompt } from "../family.ts";
import { answerRoom } from "../request-limits.ts";
import type { NexusGenConfig } from "./config.ts";
import type { NexusDrawer } from "./drawer.ts";
import type { NexusLanguage, Piece } from "./language.ts";
import { slotsOf, type Stretch } from "./positions.ts";
import { conversationPrompt, type NexusTokens } from "./prompt.ts";
import type { NexusCore } from "./stages.ts";
import { questionRaster } from "./vision.ts";

/** Fills the cache with conversations. */
export class NexusWriter implements Pick<WriteStage, "prefill"> {
  readonly #config: NexusGenConfig;
  readonly #tokens: NexusTokens;
  readonly #core: ResidentStage<NexusCore>;

  constructor(config: NexusGenConfig, tokens: NexusTokens, core: ResidentStage<NexusCore>) {
    this.#config = config;
    this.#tokens = tokens;
    this.#core = core;
  }

  async prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const { visionStart, visionEnd } = this.#tokens;
    const forbidden = [visionStart, visionEnd];
    return (await this.read(messages, { maxTokens, spare: 0, forbidden }, signal)).prompt;
  }

  /**
   * @param spare - slots that are kept free behind the answer
   * @param forbidden - ids that the answer must not hold
   */
  async read(
    messages: readonly Message[],
    {
      maxTokens,
      spare,
      forbidden,
    }: { maxTokens: number; spare: number; forbidden: readonly number[] },
    signal?: AbortSignal,
  ): Promise<{ readonly prompt: WrittenPrompt; readonly pieces: readonly Piece[] }> {
    const parts = conversationPrompt(messages, this.#tokens);
    const { language } = await this.#core.enter(signal);
    const pieces = language.pieces(parts, (pixels) => questionRaster(pixels, this.#config));
    const layout = language.stretches(pieces);
    const length = slotsOf(layout);
    const { maxPositions } = this.#config.language;
    const room = answerRoom({ length, maxTokens, maxPositions, spare });
    await language.reserveFor(pieces, room + spare);
    (await language.extend(pieces, { from: 0, layout }, signal)).dispose();
    language.setRules(language.idsOf(pieces), forbidden);
    return { prompt: written(language, this.#config, length, room), pieces };
  }
}

/** Answers with pictures: the core begins one with a token, and sees its slots when it goes on. */
export class NexusInterleaver implements InterleaveStage {
  readonly beginIds: ReadonlySet<number>;
  readonly #config: NexusGenConfig;
  readonly #tokens: NexusTokens;
  readonly #core: ResidentStage<NexusCore>;
  readonly #writer: NexusWriter;
  readonly #drawer: NexusDrawer;
  #conversation: Conversation | undefined;

  constructor(
    config: NexusGenConfig,
    tokens: NexusTokens,
    {
      core,
      writer,
      drawer,
    }: { core: ResidentStage<NexusCore>; writer: NexusWriter; drawer: NexusDrawer },
  ) {
    this.#config = config;
    this.#tokens = tokens;
    this.#core = core;
    this.#writer = writer;
    this.#drawer = drawer;
    this.beginIds = new Set([tokens.visionStart]);
  }

  async prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const forbidden = [this.#tokens.visionEnd];
    const spare = this.#spare;
    const { prompt, pieces } = await this.#writer.read(
      messages,
      { maxTokens, spare, forbidden },
      signal,
    );
    const { language } = await this.#core.enter(signal);
    this.#conversation = { pieces, layout: language.stretches(pieces), language };
    return prompt;
  }

  async prepare(
    answered: readonly number[],
    request: InterleaveRequest,
    signal?: AbortSignal,
  ): Promise<Drawing> {
    const asked = { ...this.#drawer.defaults([]), count: 1, ...request };
    this.#drawer.check(asked);
    const { language } = await this.#core.enter(signal);
    const { pieces, layout } = present(this.#conversation, "a conversation");
    const answer: Piece = { kind: "ids", ids: answered };
    const before: Stretch[] = [...layout, { kind: "text", slots: answered.length }];
    const isSame = language === this.#conversation?.language;
    // What the loop ran ahead is behind the begin id, and is written over.
    const embeddings = await language.imagine(
      isSame ? [{ kind: "ids", ids: answered.slice(-1) }] : [...pieces, answer],
      { from: isSame ? slotsOf(before) - 1 : 0, before },
      signal,
    );
    this.#conversation = { pieces: [...pieces, answer], layout: before, language };
    try {
      const rows = asked.guidance === 1 ? [embeddings] : [embeddings, undefined];
      return await this.#drawer.paint({ rows }, asked, signal);
    } finally {
      embeddings.dispose();
    }
  }

  async resume(maxTokens: number, signal?: AbortSignal): Promise<WrittenPrompt | undefined> {
    const { pieces, layout, language: last } = present(this.#conversation, "a conversation");
    const { language } = await this.#core.enter(signal);
    const count = this.#config.grid ** 2;
    const slots: Piece = { kind: "slots", first: 0, count };
    const end: Piece = { kind: "ids", ids: [this.#tokens.visionEnd] };
    const after: Stretch[] = [...layout, language.drawn, { kind: "text", slots: 1 }];
    const length = slotsOf(after);
    const isSame = language === last;
    if (!isSame) await language.reserve(length + maxTokens + this.#spare);
    const room = Math.min(maxTokens, language.core.capacity - length - this.#spare);
    if (room < 1) return undefined;
    const all = [...pieces, slots, end];
    const hidden = await language.extend(
      isSame ? [{ kind: "slots", first: count - 1, count: 1 }, end] : all,
      { from: isSame ? length - 2 : 0, layout: after },
      signal,
    );
    hidden.dispose();
    language.setRules(language.idsOf(all), [this.#tokens.visionEnd]);
    this.#conversation = { pieces: all, layout: after, language };
    return written(language, this.#config, length, room);
  }

  // A picture and the token behind it.
  get #spare(): number {
    return this.#config.grid ** 2 + 1;
  }
}

/** What is in the cache, and in which one. */
interface Conversation {
  readonly pieces: readonly Piece[];
  readonly layout: readonly Stretch[];
  readonly language: NexusLanguage;
}

function written(
  language: NexusLanguage,
  { repetitionPenalty }: NexusGenConfig,
  promptTokens: number,
  room: number,
): WrittenPrompt {
  return { promptTokens, room, core: language.core, rules: language.rules, repetitionPenalty };
}
