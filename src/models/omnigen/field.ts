// A compiled velocity field of one shape, and how prompts are filled in: the core runs once over every row's
// prompt, and each step reads the keys and values it left. Exact: text and pictures of the prompt see neither
// the time nor the latents.
import type { DType } from "../../base/dtype.ts";
import type { Shape } from "../../base/shape.ts";
import {
  flowPositions,
  promptBias,
  timeThenPatchesBias,
  type ConditionRow,
} from "../../flow/conditions.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { cachePorts, type LayerCache } from "../../tokens/layer-caches.ts";
import type { StageContext } from "../family.ts";
import { writeEmbeddings, type EmbeddingPart } from "../prompt-embeddings.ts";
import type { OmniGenConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { isLong } from "./rope.ts";
import { gridTensors, ropeTensors } from "./tables.ts";
import { flowLength, velocityGraph, type FieldShape } from "./velocity.ts";

/** One row of guidance, its pictures' features on the device. */
export interface PromptRow extends ConditionRow {
  readonly parts: readonly EmbeddingPart[];
}

/** A velocity field of fixed shapes. */
export interface OmniGenField extends VelocityField {
  readonly capture: Pick<LoopSession, "isCaptured" | "note">;
  /** Brings the prompts of all rows to the device. @throws the signal's reason */
  fill(rows: readonly PromptRow[], embed: Session, signal?: AbortSignal): Promise<void>;
  dispose(): Promise<void>;
}

/** Everything that the graphs of a field read and write. */
interface FieldTensors {
  readonly latents: Tensor;
  readonly time: Tensor;
  readonly velocity: Tensor;
  readonly bias: Tensor;
  readonly positions: Tensor;
  readonly rope: ReturnType<typeof ropeTensors>;
  readonly grid: ReturnType<typeof gridTensors>;
  /** Keys and values of every layer, which the prompt pass writes and the field reads. */
  readonly prefix: readonly LayerCache[];
}

/**
 * Compiles a field; weights must be loaded.
 *
 * @throws ModelError out-of-memory, with nothing of it left on the device
 */
export async function createField(
  context: StageContext<OmniGenConfig>,
  shape: FieldShape,
): Promise<OmniGenField> {
  const kept: Tensor[] = [];
  const release = (): void => kept.forEach((tensor) => tensor.dispose());
  try {
    const tensors = await createTensors(context, shape, kept);
    const { prompt, loop } = await compile(context, shape, tensors);
    return {
      latents: tensors.latents,
      time: tensors.time,
      velocity: tensors.velocity,
      capture: loop,
      evaluate: () => loop.run(),
      fill: (rows, embed, signal) => fill(context, { shape, tensors, prompt, rows, embed, signal }),
      dispose: async () => {
        await loop.dispose();
        await prompt.dispose();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** @param kept - takes every tensor as soon as it is there */
async function createTensors(
  { runtime, config }: StageContext<OmniGenConfig>,
  { rows, prefix, size }: FieldShape,
  kept: Tensor[],
): Promise<FieldTensors> {
  const { heads, headDim, layers } = config.language;
  const length = flowLength(config, size);
  const latentShape = [config.vae.latentChannels, ...size];
  const create = (dtype: DType, shape: Shape): Tensor => {
    const tensor = runtime.createTensor(dtype, shape);
    kept.push(tensor);
    return tensor;
  };
  const cache = (): Tensor => create(runtime.float, [rows, prefix, heads * headDim]);
  const velocity = await runtime.createStableTensor("f32", [rows, ...latentShape]);
  const rope = ropeTensors(runtime, config, prefix + length);
  const grid = gridTensors(runtime, config, size);
  kept.push(velocity, ...Object.values(rope), ...Object.values(grid));
  return {
    latents: create("f32", [1, ...latentShape]),
    time: create("f32", [1]),
    velocity,
    bias: create("f32", [rows, 1, length, prefix + length]),
    positions: create("i64", [rows, length]),
    rope,
    grid,
    prefix: Array.from({ length: layers }, () => ({ key: cache(), value: cache() })),
  };
}

async function compile(
  { runtime, config, weights, quantization }: StageContext<OmniGenConfig>,
  shape: FieldShape,
  { latents, time, velocity, bias, positions, rope, grid, prefix }: FieldTensors,
): Promise<{ readonly prompt: Session; readonly loop: LoopSession }> {
  const options = { float: runtime.float, quantization };
  const past = cachePorts(prefix, "prefix");
  const graph = promptGraph(config, shape.rows, shape.prefix, options);
  const prompt = await runtime.createSession(graph, weights.tensors);
  try {
    const loop = await createLoopSession(runtime, {
      graph: velocityGraph(config, shape, options),
      weights: weights.tensors,
      feeds: { latents, time, bias, positions, ...rope, ...grid, ...past },
      fetches: { velocity },
      freeFeeds: ["latents", "time"],
    });
    return { prompt, loop };
  } catch (error) {
    await prompt.dispose();
    throw error;
  }
}

interface Filling {
  readonly shape: FieldShape;
  readonly tensors: FieldTensors;
  readonly prompt: Session;
  readonly rows: readonly PromptRow[];
  readonly embed: Session;
  readonly signal: AbortSignal | undefined;
}

async function fill(context: StageContext<OmniGenConfig>, filling: Filling): Promise<void> {
  const { runtime, config } = context;
  const { shape, tensors, prompt, rows } = filling;
  const { prefix } = shape;
  const length = flowLength(config, shape.size);
  // Rows of long sequences read the second half of the rope tables.
  const turns = rows.map(({ ids }) =>
    isLong(config.rope, ids.length + length) ? prefix + length : 0,
  );
  const starts = rows.map(({ start }, row) => start + (turns[row] ?? 0));
  runtime.write(tensors.bias, timeThenPatchesBias(rows, prefix, length));
  runtime.write(tensors.positions, flowPositions(starts, length));

  const count = rows.length;
  const feeds = {
    embeddings: await embedRows(context, filling),
    bias: runtime.createTensor("f32", [count, 1, prefix, prefix], promptBias(rows, prefix)),
    positions: runtime.createTensor("i64", [count, prefix], flowPositions(turns, prefix)),
  };
  // The prompt pass writes its keys and values straight into what the field reads.
  const fetches = cachePorts(tensors.prefix, "present");
  await prompt.run({ ...feeds, ...tensors.rope }, fetches);
  for (const tensor of Object.values(feeds)) tensor.dispose();
}

/** Embeddings [rows, prefix, hidden]; slots behind a row's prompt are zero. */
async function embedRows(
  { runtime, config }: StageContext<OmniGenConfig>,
  { shape, rows, embed, signal }: Filling,
): Promise<Tensor> {
  const dimensions = [rows.length, shape.prefix, config.language.hiddenSize];
  const tensor = runtime.createTensor(runtime.float, dimensions);
  const rowBytes = tensor.byteLength / rows.length;
  try {
    for (const [row, { parts }] of rows.entries()) {
      await writeEmbeddings(runtime, embed, parts, { tensor, offset: row * rowBytes, signal });
    }
    return tensor;
  } catch (error) {
    tensor.dispose();
    throw error;
  }
}
