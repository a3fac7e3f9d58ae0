// One Transfusion on the device: it writes, draws, and does both in one answer, in the same contexts.
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import type { Pixels } from "../../base/pixels.ts";
import type { Message } from "../../base/requests.ts";
import { FlowDrawing, rowWeights } from "../../flow/flow-drawing.ts";
import { firstNoise, type NoiseRequest } from "../../flow/noise.ts";
import {
  eulerSchedule,
  midpointSchedule,
  uniformLevels,
  type Schedule,
} from "../../flow/schedule.ts";
import type {
  DrawDefaults,
  DrawRequest,
  InterleaveRequest,
  StageContext,
  WrittenPrompt,
} from "../family.ts";
import { promptLength, type PromptPart } from "../prompt-parts.ts";
import { answerRoom, checkDrawingRoom } from "../request-limits.ts";
import type { TransfusionConfig } from "./config.ts";
import { contextCapacity, Contexts, slotsOf, type ContextPart } from "./context.ts";
import { PictureField } from "./field.ts";
import { layeredGrid } from "./latent-layers.ts";
import { pixelsPerPosition, slotGrid, type Grid } from "./latents.ts";
import { Pictures } from "./pictures.ts";
import { conversationPrompt, drawingPrompt, type TransfusionTokens } from "./prompt.ts";

/** Pictures that an edit may start from. */
export const MAX_IMAGES = 8;

/** What a picture is drawn with when nothing else is asked for; `isEdit` = other pictures come before it. */
export function drawDefaults(config: TransfusionConfig, isEdit: boolean): DrawDefaults {
  const [rows, columns] = config.defaultGrid;
  const side = pixelsPerPosition(config);
  const { steps, guidance, editingGuidance } = config.sampling;
  return {
    width: columns * side,
    height: rows * side,
    steps,
    guidance: isEdit ? editingGuidance : guidance,
  };
}

/** The model while it is on the device. */
export class TransfusionModel {
  readonly #context: StageContext<TransfusionConfig>;
  readonly #tokens: TransfusionTokens;
  readonly #pictures: Pictures;
  #contexts: Contexts | undefined;
  #field: PictureField | undefined;
  /** What the first context holds while an answer is written; its pictures are ours. */
  #history: ContextPart[] = [];

  private constructor(context: StageContext<TransfusionConfig>, tokens: TransfusionTokens) {
    this.#context = context;
    this.#tokens = tokens;
    this.#pictures = new Pictures(context);
  }

  /** Compiles what short prompts of the usual size need; weights must be loaded. */
  static async create(
    context: StageContext<TransfusionConfig>,
    tokens: TransfusionTokens,
  ): Promise<TransfusionModel> {
    const model = new TransfusionModel(context, tokens);
    await model.#contextsFor(1);
    await model.#fieldFor(context.config.defaultGrid, 2);
    return model;
  }

  /** The loops that are compiled: do they replay captured command lists; else why not. */
  get captures(): Readonly<Record<string, Contexts["capture"]>> {
    const [contexts, field] = [this.#contexts, this.#field];
    return {
      ...(contexts === undefined ? {} : { decode: contexts.capture }),
      ...(field === undefined ? {} : { flow: field.capture }),
    };
  }

  /** A conversation in the first context. @throws RangeError when it fills the model's context */
  async prefill(
    messages: readonly Message[],
    maxTokens: number,
    signal?: AbortSignal,
  ): Promise<WrittenPrompt> {
    const { config } = this.#context;
    const grid = config.defaultGrid;
    const prompt = conversationPrompt(messages, this.#tokens, slotGrid(config, grid));
    const length = this.#length(prompt, grid);
    const room = answerRoom({ length, maxTokens, maxPositions: config.maxLength });
    this.#forget();
    const core = await this.#contextsFor(length + room);
    this.#history = await this.#enterAll(prompt, grid, signal);
    await core.fill(0, this.#history, signal);
    return { promptTokens: length, room, core };
  }

  /** @throws RangeError, before any work, for a size without a grid, too many steps or too long a prompt */
  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing> {
    const { config } = this.#context;
    const grid = this.#gridOf(request);
    const given = config.defaultGrid;
    const grids = { given: slotGrid(config, given), drawn: slotGrid(config, grid) };
    const { prompt, negativePrompt, images, guidance, steps } = request;
    const sequence = (text: string): PromptPart[] =>
      drawingPrompt(text, images, this.#tokens, grids);
    const prompts = [sequence(prompt)];
    if (guidance !== 1 && negativePrompt !== undefined) prompts.push(sequence(negativePrompt));
    const schedule = this.#schedule(steps);
    const noise = firstNoise(request, [...grid, config.latentSize]);
    const longest = Math.max(...prompts.map((parts) => this.#length(parts, given)));
    const [rowsDrawn, columnsDrawn] = grids.drawn;
    const picture = rowsDrawn * columnsDrawn;
    checkDrawingRoom({ prompt: longest, picture, maxPositions: config.maxLength });

    this.#forget();
    const contexts = await this.#contextsFor(longest);
    const rows = guidance === 1 ? 1 : 2;
    const field = await this.#fieldFor(grid, rows);
    signal?.throwIfAborted();
    const [first = [], second] = prompts;
    const entered = await this.#enterAll(first, given, signal);
    try {
      await contexts.fill(0, entered, signal);
      const other = second === undefined ? this.#wordless(entered) : withPictures(second, entered);
      if (rows === 2) await contexts.fill(1, other, signal);
    } finally {
      disposePictures(entered);
    }
    field.look();
    return this.#drawing(field, { schedule, guidance, noise });
  }

  /** The picture that the answer's last id begins. */
  async drawHere(
    answered: readonly number[],
    { steps, guidance, seed }: InterleaveRequest,
    signal?: AbortSignal,
  ): Promise<Drawing> {
    const { config } = this.#context;
    const grid = config.defaultGrid;
    const isEdit = this.#history.some(({ kind }) => kind === "features");
    const defaults = drawDefaults(config, isEdit);
    const asked = { steps: steps ?? defaults.steps, guidance: guidance ?? defaults.guidance };
    const schedule = this.#schedule(asked.steps);
    const request: NoiseRequest = { seed, count: 1 };
    const noise = firstNoise(request, [...grid, config.latentSize]);
    const rows = asked.guidance === 1 ? 1 : 2;
    const contexts = present(this.#contexts, "contexts");
    const field = await this.#fieldFor(grid, rows);
    signal?.throwIfAborted();
    // What was decoded before the begin id is in the cache; the id itself may be or not.
    contexts.accept(answered.length - 1);
    await contexts.append(0, [{ kind: "ids", ids: answered.slice(-1) }], signal);
    this.#history.push({ kind: "ids", ids: answered });
    if (rows === 2) await contexts.fill(1, this.#wordless(this.#history), signal);
    field.look();
    return this.#drawing(field, { schedule, guidance: asked.guidance, noise });
  }

  /** Takes the drawn picture and its end mark into the first context. */
  async resume(maxTokens: number, signal?: AbortSignal): Promise<WrittenPrompt | undefined> {
    const { config } = this.#context;
    const field = present(this.#field, "field");
    const features = await this.#pictures.enter(field.latents, field.grid);
    const behind: ContextPart[] = [
      { kind: "features", features },
      { kind: "ids", ids: [this.#tokens.eom] },
    ];
    const parts = [...this.#history, ...behind];
    this.#history = parts;
    const length = slotsOf(parts);
    const room = Math.min(maxTokens, config.maxLength - length);
    if (room < 1) return undefined;
    const before = this.#contexts;
    const core = await this.#contextsFor(length + room);
    if (core === before) await core.append(0, behind, signal);
    else await core.fill(0, parts, signal);
    return { promptTokens: length, room, core };
  }

  async dispose(): Promise<void> {
    this.#forget();
    await this.#field?.dispose();
    await this.#contexts?.dispose();
    await this.#pictures.dispose();
  }

  #drawing(
    field: PictureField,
    {
      schedule,
      guidance,
      noise,
    }: { schedule: Schedule; guidance: number; noise: Float32Array<ArrayBuffer> },
  ): Drawing {
    const { runtime, config } = this.#context;
    return new FlowDrawing(runtime, {
      field,
      schedule,
      guidance,
      noise,
      latentShape: [...field.grid, config.latentSize],
      weights: rowWeights(guidance),
      decode: () => this.#pictures.decode(field.latents, field.grid),
    });
  }

  /** Parts with their pictures in slots, which are the caller's. */
  async #enterAll(
    parts: readonly PromptPart[],
    grid: Grid,
    signal: AbortSignal | undefined,
  ): Promise<ContextPart[]> {
    const entered: ContextPart[] = [];
    try {
      for (const part of parts) {
        signal?.throwIfAborted();
        entered.push(part.kind === "ids" ? part : await this.#see(part.pixels, grid));
      }
    } catch (error) {
      disposePictures(entered);
      throw error;
    }
    return entered;
  }

  async #see(pixels: Pixels, grid: Grid): Promise<ContextPart> {
    const latents = await this.#pictures.encode(pixels, grid);
    const features = await this.#pictures.enter(latents, grid);
    latents.dispose();
    return { kind: "features", features };
  }

  /** The same without its words, which guidance compares with: every id is the null id, pictures stay. */
  #wordless(parts: readonly ContextPart[]): ContextPart[] {
    return parts.map((part) =>
      part.kind === "ids" ? { ...part, ids: part.ids.map(() => this.#tokens.null) } : part,
    );
  }

  #forget(): void {
    disposePictures(this.#history);
    this.#history = [];
  }

  #schedule(steps: number): Schedule {
    const levels = uniformLevels(steps);
    const { solver } = this.#context.config;
    return solver === "midpoint" ? midpointSchedule(levels) : eulerSchedule(levels);
  }

  #gridOf({ width, height }: Pick<DrawDefaults, "width" | "height">): Grid {
    const { config } = this.#context;
    const side = pixelsPerPosition(config);
    const grid = [height / side, width / side] as const;
    const isWhole = grid.every((size) => Number.isInteger(size) && size >= 1 && size <= 4096);
    const decoder = config.layers?.decoder ?? [];
    const back = isWhole ? layeredGrid(slotGrid(config, grid), decoder) : [];
    if (!isWhole || back.join() !== grid.join()) {
      throw new RangeError(
        `This model draws in steps of ${side} pixels that its layers can halve, got ${width} x ${height}.`,
      );
    }
    return grid;
  }

  #length(parts: readonly PromptPart[], grid: Grid): number {
    const [rows, columns] = slotGrid(this.#context.config, grid);
    return promptLength(parts, rows * columns);
  }

  /** Contexts with at least this many slots; replaces smaller ones, whose content is lost. */
  async #contextsFor(slots: number): Promise<Contexts> {
    if (this.#contexts !== undefined && this.#contexts.capacity >= slots) return this.#contexts;
    const capacity = contextCapacity(slots);
    await this.#field?.dispose();
    await this.#contexts?.dispose();
    this.#field = undefined;
    this.#contexts = undefined;
    this.#contexts = await Contexts.create(this.#context, capacity);
    return this.#contexts;
  }

  /** The field of these sizes over the contexts; replaces another one. */
  async #fieldFor(grid: Grid, rows: number): Promise<PictureField> {
    const known = this.#field;
    if (known?.rows === rows && known.grid.join() === grid.join()) return known;
    await known?.dispose();
    this.#field = undefined;
    const contexts = present(this.#contexts, "contexts");
    this.#field = await PictureField.create(this.#context, contexts, { grid, rows });
    return this.#field;
  }
}

/** A prompt whose pictures are those of another one, in order. */
function withPictures(
  prompt: readonly PromptPart[],
  entered: readonly ContextPart[],
): ContextPart[] {
  const pictures = entered.filter(({ kind }) => kind === "features");
  return prompt.map((part) =>
    part.kind === "ids" ? part : present(pictures.shift(), "a picture for each place"),
  );
}

function disposePictures(parts: readonly ContextPart[]): void {
  for (const part of parts) if (part.kind === "features") part.features.dispose();
}
