// One of Nexus-Gen's decoders on the device: embeddings of a picture become context tokens, once, and a flow
// over latents is told by them what to draw.
import { present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { fluxAngles } from "../../graph/blocks/flux.ts";
import type { Graph } from "../../graph/graph.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { OpenStage } from "../../session/residency.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { GraphOptions, StageContext } from "../family.ts";
import { floatTensor, keepOutputs, slotNumbers, writeFloats } from "../floats.ts";
import { readPicture } from "../read-picture.ts";
import { Recent } from "../recent.ts";
import { adapterGraph, mergerGraph, mergerPositions, negativeGraph } from "./conditions.ts";
import type { DecoderConfig, NexusGenConfig } from "./config.ts";
import {
  editPositions,
  fieldPositions,
  pictureGraph,
  unplaced,
  velocityGraph,
  type FieldShape,
} from "./decoder.ts";
import { mropeTables } from "./positions.ts";
import type { Modulated } from "./times.ts";

/** What one row is told: the core's embeddings f32 [1, grid * grid, hidden]; undefined = nothing. */
export type RowEmbeddings = Tensor | undefined;

/** A field of one shape. */
export interface CompiledField extends VelocityField {
  readonly loop: LoopSession;
  readonly modulated: Modulated;
  /** [1, context tokens of all rows, hidden] */
  readonly context: Tensor;
  readonly rope: Readonly<Record<"rope.cos" | "rope.sin", Tensor>>;
  dispose(): Promise<void>;
}

/** The graphs of a decoder; sizes of the picture do not matter for the weights they bind. */
export function painterGraphs(
  config: NexusGenConfig,
  decoder: DecoderConfig,
  options: GraphOptions,
): Graph[] {
  const latentShape = [config.vae.latentChannels, 2, 2] as const;
  const shape: FieldShape = { latentShape, lengths: [1], steps: 1 };
  return [
    negativeGraph(config, decoder, options),
    contextGraph(config, decoder, options),
    velocityGraph(decoder.flux, shape, options),
    pictureGraph(config, shape.latentShape, options),
  ];
}

/** A decoder, and for edits the merger with the edited picture. */
export class NexusPainter implements OpenStage {
  readonly #context: StageContext<NexusGenConfig>;
  readonly #decoder: DecoderConfig;
  readonly #parts: PainterParts;
  // Compiled for sizes; a real one holds hundreds of megabytes of activations, so only the last is kept.
  readonly #fields = new Recent<CompiledField>(1);
  readonly #pictures = new Recent<Session>(1);

  private constructor(
    context: StageContext<NexusGenConfig>,
    decoder: DecoderConfig,
    parts: PainterParts,
  ) {
    this.#context = context;
    this.#decoder = decoder;
    this.#parts = parts;
  }

  /** Compiles what does not depend on a picture's size; weights must be loaded. */
  static async create(
    context: StageContext<NexusGenConfig>,
    decoder: DecoderConfig,
  ): Promise<NexusPainter> {
    const { runtime, config, weights, quantization } = context;
    const options = { float: runtime.float, quantization };
    const once = await runtime.createSession(
      negativeGraph(config, decoder, options),
      weights.tensors,
    );
    const { negative } = keepOutputs(runtime, await once.run({}));
    await once.dispose();
    const graph = contextGraph(config, decoder, options);
    return new NexusPainter(context, decoder, {
      negative: present(negative, "negative"),
      adapter: await runtime.createSession(graph, weights.tensors),
      ...(decoder === config.editing && { merging: mergerInputs(context) }),
    });
  }

  /** Does the flow loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> | undefined {
    return this.#fields.latest?.loop;
  }

  /**
   * The field of these rows.
   *
   * @param modulated - what the blocks are told about the drawing's times; read while the field is used
   * @param source - features [1, source grid squared, hidden] of the edited picture, for the decoder of edits
   */
  async fieldOf(
    latentShape: FieldShape["latentShape"],
    rows: readonly RowEmbeddings[],
    source: Tensor | undefined,
    modulated: Modulated,
  ): Promise<CompiledField> {
    const { runtime, config } = this.#context;
    const { grid, sourceGrid, negativeLength } = config;
    const own = grid ** 2 + (source === undefined ? 0 : sourceGrid ** 2);
    const lengths = rows.map((row) => (row === undefined ? negativeLength : own));
    const key = `${latentShape.join(" x ")}, ${lengths.join(" + ")}, ${modulated.id}`;
    const shape = { latentShape, lengths, steps: modulated.steps };
    const field = await this.#fields.get(key, () => this.#compile(shape, modulated));
    const placed =
      source === undefined ? unplaced(own) : editPositions(latentShape, [grid, sourceGrid]);
    const positions = fieldPositions(
      latentShape,
      rows.map((row) => (row === undefined ? unplaced(negativeLength) : placed)),
    );
    const { cos, sin } = fluxAngles(positions, this.#decoder.flux.axesDims);
    writeFloats(runtime, field.rope["rope.cos"], cos);
    writeFloats(runtime, field.rope["rope.sin"], sin);
    let targetOffset = 0;
    for (const row of rows) {
      const context = row === undefined ? this.#parts.negative : await this.contextOf(row, source);
      runtime.copy(context, field.context, { targetOffset, bytes: context.byteLength });
      targetOffset += context.byteLength;
      if (row !== undefined) context.dispose();
    }
    return field;
  }

  /** Context tokens [1, tokens, decoder's hidden] of one row. */
  async contextOf(embeddings: Tensor, source: Tensor | undefined): Promise<Tensor> {
    const { adapter, merging } = this.#parts;
    const feeds =
      source === undefined ? { embeddings } : { embeddings, source, ...present(merging, "merger") };
    const { context } = await adapter.run(feeds);
    return present(context, "context");
  }

  /** The picture of a field's latents. Reads back once. */
  async decode({ latents }: VelocityField): Promise<Pixels> {
    const { runtime, config, weights, quantization } = this.#context;
    const [channels = 0, height = 0, width = 0] = latents.shape.slice(1);
    const session = await this.#pictures.get(`${height} x ${width}`, () =>
      runtime.createSession(
        pictureGraph(config, [channels, height, width], { quantization }),
        weights.tensors,
      ),
    );
    const { image } = await session.run({ latents });
    return readPicture(runtime, present(image, "image"), "truncate");
  }

  async dispose(): Promise<void> {
    const { negative, adapter, merging = {} } = this.#parts;
    await this.#fields.dispose();
    await this.#pictures.dispose();
    await adapter.dispose();
    for (const tensor of [negative, ...Object.values(merging)]) tensor.dispose();
  }

  async #compile(shape: FieldShape, modulated: Modulated): Promise<CompiledField> {
    const { runtime, weights, quantization } = this.#context;
    const { flux } = this.#decoder;
    const { latentShape, lengths } = shape;
    const slots = fieldPositions(latentShape, lengths.map(unplaced)).length;
    const half = flux.hiddenSize / flux.heads / 2;
    const zeros = new Float32Array(slots * half);
    const total = lengths.reduce((sum, length) => sum + length, 0);
    const latents = runtime.createTensor("f32", [1, ...latentShape]);
    const time = runtime.createTensor("f32", [1]);
    const context = runtime.createTensor(runtime.float, [1, total, flux.hiddenSize]);
    const positions = slotNumbers(runtime, slots);
    const rope = {
      "rope.cos": floatTensor(runtime, [slots, half], zeros),
      "rope.sin": floatTensor(runtime, [slots, half], zeros),
    };
    const velocity = await runtime.createStableTensor("f32", [lengths.length, ...latentShape]);
    const loop = await createLoopSession(runtime, {
      graph: velocityGraph(flux, shape, { float: runtime.float, quantization }),
      weights: weights.tensors,
      feeds: { latents, time, context, positions, ...rope, ...modulated.tables },
      fetches: { velocity },
      // The time is a row of the tables.
      freeFeeds: ["latents", "context"],
    });
    const own = [latents, time, context, positions, velocity, ...Object.values(rope)];
    const dispose = async (): Promise<void> => {
      await loop.dispose();
      for (const tensor of own) tensor.dispose();
    };
    const evaluate = (): Promise<void> => loop.run();
    return { loop, modulated, latents, time, velocity, context, rope, evaluate, dispose };
  }
}

interface PainterParts {
  /** Context tokens of the empty prompt. */
  readonly negative: Tensor;
  /** The adapter, or the merger of edits. */
  readonly adapter: Session;
  /** What the merger reads beside embeddings and picture. */
  readonly merging?: Readonly<Record<string, Tensor>>;
}

function contextGraph(
  config: NexusGenConfig,
  decoder: DecoderConfig,
  options: GraphOptions,
): Graph {
  return decoder === config.editing
    ? mergerGraph(config, decoder, options)
    : adapterGraph(config, decoder, options);
}

function mergerInputs({ runtime, config }: StageContext<NexusGenConfig>): Record<string, Tensor> {
  const positions = mergerPositions(config);
  const { cos, sin } = mropeTables(positions, config);
  const shape = [positions.length, config.language.headDim / 2];
  return {
    positions: slotNumbers(runtime, positions.length),
    "rope.cos": floatTensor(runtime, shape, cos),
    "rope.sin": floatTensor(runtime, shape, sin),
  };
}
