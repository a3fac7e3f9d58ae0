// The transformer as the velocity field of a picture behind one or two contexts. What the contexts hold does
// not depend on the picture or its time, so their keys and values are read, never computed again.
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import type { Tensor } from "../../session/runtime.ts";
import type { StageContext } from "../family.ts";
import { floatTensor, writeFloats } from "../floats.ts";
import { placeRows } from "./attention.ts";
import type { TransfusionConfig } from "./config.ts";
import type { Contexts, ContextRow } from "./context.ts";
import { velocityGraph } from "./graphs.ts";
import { pictureBias, ropeRows } from "./layout.ts";
import { slotGrid, type Grid } from "./latents.ts";

/** Sizes that a field is compiled for. */
export interface FieldShape {
  readonly grid: Grid;
  /** Contexts: 2 with guidance. */
  readonly rows: number;
}

/** A field of fixed sizes over the caches of some contexts. */
export class PictureField implements VelocityField {
  readonly latents: Tensor;
  readonly velocity: Tensor;
  readonly time: Tensor;
  readonly grid: Grid;
  readonly rows: number;
  readonly #context: StageContext<TransfusionConfig>;
  readonly #contexts: readonly ContextRow[];
  readonly #capacity: number;
  readonly #slots: number;
  readonly #inputs: FieldInputs;
  readonly #loop: LoopSession;

  private constructor(
    context: StageContext<TransfusionConfig>,
    { grid, rows }: FieldShape,
    tensors: Pick<VelocityField, "latents" | "velocity" | "time">,
    bound: { contexts: readonly ContextRow[]; capacity: number; slots: number },
    inputs: FieldInputs,
    loop: LoopSession,
  ) {
    this.#context = context;
    this.grid = grid;
    this.rows = rows;
    this.latents = tensors.latents;
    this.velocity = tensors.velocity;
    this.time = tensors.time;
    this.#contexts = bound.contexts;
    this.#capacity = bound.capacity;
    this.#slots = bound.slots;
    this.#inputs = inputs;
    this.#loop = loop;
  }

  /** Compiles the field; it is captured and proven where the device can. */
  static async create(
    context: StageContext<TransfusionConfig>,
    contexts: Contexts,
    shape: FieldShape,
  ): Promise<PictureField> {
    const { config, runtime, weights, quantization } = context;
    const { grid, rows } = shape;
    const { capacity } = contexts;
    const [height, width] = slotGrid(config, grid);
    const slots = height * width;
    const latentShape = [...grid, config.latentSize];
    const latents = runtime.createTensor("f32", latentShape);
    const time = runtime.createTensor("f32", [1]);
    const velocity = await runtime.createStableTensor("f32", [rows, ...latentShape]);
    const bound = { contexts: await contexts.rows(rows), capacity, slots };
    const inputs = createInputs(context, rows, capacity, slots);
    const { bias, positions, cos, sin } = inputs;
    const loop = await createLoopSession(runtime, {
      graph: velocityGraph(
        config,
        { grid, rows, capacity },
        { float: runtime.float, quantization },
      ),
      weights: weights.tensors,
      feeds: {
        latents,
        time,
        bias,
        positions,
        "rope.cos": cos,
        "rope.sin": sin,
        ...pastPorts(bound.contexts),
      },
      fetches: { velocity },
      freeFeeds: ["latents", "time"],
    });
    return new PictureField(context, shape, { latents, velocity, time }, bound, inputs, loop);
  }

  /** Does the flow loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return this.#loop;
  }

  /** Looks at the contexts as they are now: how long they are and where the picture is. */
  look(): void {
    const { runtime, config } = this.#context;
    const lengths = this.#contexts.map(({ length }) => length);
    runtime.write(this.#inputs.bias, pictureBias(lengths, this.#capacity, this.#slots));
    const places = this.#contexts.map(({ next }) => next);
    const { cos, sin } = ropeRows(config.transformer.headDim, places);
    writeFloats(runtime, this.#inputs.cos, cos);
    writeFloats(runtime, this.#inputs.sin, sin);
  }

  evaluate(): Promise<void> {
    return this.#loop.run();
  }

  async dispose(): Promise<void> {
    await this.#loop.dispose();
    const { bias, positions, cos, sin } = this.#inputs;
    for (const tensor of [this.latents, this.velocity, this.time, bias, positions, cos, sin]) {
      tensor.dispose();
    }
  }
}

interface FieldInputs {
  readonly bias: Tensor;
  readonly positions: Tensor;
  readonly cos: Tensor;
  readonly sin: Tensor;
}

function createInputs(
  { runtime, config }: StageContext<TransfusionConfig>,
  rows: number,
  capacity: number,
  slots: number,
): FieldInputs {
  const { headDim } = config.transformer;
  const numbers = BigInt64Array.from({ length: rows * slots }, (_, k) =>
    BigInt(Math.floor(k / slots)),
  );
  const places = placeRows(rows, slots);
  const { cos, sin } = ropeRows(headDim, Array<number>(places).fill(0));
  const table = [places, headDim / 2];
  return {
    bias: runtime.createTensor("f32", [rows, 1, 1, capacity + slots]),
    positions: runtime.createTensor("i64", [rows, slots], numbers),
    cos: floatTensor(runtime, table, cos),
    sin: floatTensor(runtime, table, sin),
  };
}

function pastPorts(contexts: readonly ContextRow[]): Record<string, Tensor> {
  const ports: Record<string, Tensor> = {};
  for (const [row, { caches }] of contexts.entries()) {
    for (const [layer, { key, value }] of caches.entries()) {
      ports[`past.${layer}.key.${row}`] = key;
      ports[`past.${layer}.value.${row}`] = value;
    }
  }
  return ports;
}
