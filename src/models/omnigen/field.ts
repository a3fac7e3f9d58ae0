// A compiled velocity field of one shape, and how prompts are filled in: the core runs once over every row's
// prompt, and each step reads the keys and values it left. Exact: text and pictures of the prompt see neither
// the time nor the latents.
import {
  flowPositions,
  promptBias,
  timeThenPatchesBias,
  type ConditionRow,
} from "../../flow/conditions.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
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

/** What the field reads beside latents and time. */
interface FieldInputs {
  readonly bias: Tensor;
  readonly positions: Tensor;
  readonly rope: ReturnType<typeof ropeTensors>;
  readonly grid: ReturnType<typeof gridTensors>;
  /** Keys and values of every layer, which the prompt pass writes and the field reads. */
  readonly prefix: readonly { readonly key: Tensor; readonly value: Tensor }[];
}

/** Compiles a field; weights must be loaded. */
export async function createField(
  context: StageContext<OmniGenConfig>,
  shape: FieldShape,
): Promise<OmniGenField> {
  const { runtime, config, weights, quantization } = context;
  const options = { float: runtime.float, quantization };
  const { rows, prefix, size } = shape;
  const latentShape = [config.vae.latentChannels, ...size];
  const latents = runtime.createTensor("f32", [1, ...latentShape]);
  const time = runtime.createTensor("f32", [1]);
  const velocity = await runtime.createStableTensor("f32", [rows, ...latentShape]);
  const inputs = createInputs(context, shape);
  const { bias, positions, rope, grid } = inputs;
  const past = layerPorts(inputs.prefix, "prefix.#.key", "prefix.#.value");
  const prompt = await runtime.createSession(
    promptGraph(config, rows, prefix, options),
    weights.tensors,
  );
  const loop = await createLoopSession(runtime, {
    graph: velocityGraph(config, shape, options),
    weights: weights.tensors,
    feeds: { latents, time, bias, positions, ...rope, ...grid, ...past },
    fetches: { velocity },
    probe: "velocity",
  });
  const caches = inputs.prefix.flatMap(({ key, value }) => [key, value]);
  const tables = [...Object.values(rope), ...Object.values(grid)];
  return {
    latents,
    time,
    velocity,
    capture: loop,
    evaluate: () => loop.run(),
    fill: (filled, embed, signal) =>
      fill(context, { shape, inputs, prompt, rows: filled, embed, signal }),
    dispose: async () => {
      await loop.dispose();
      await prompt.dispose();
      const own = [latents, time, velocity, bias, positions];
      for (const tensor of [...own, ...tables, ...caches]) tensor.dispose();
    },
  };
}

function createInputs(
  { runtime, config }: StageContext<OmniGenConfig>,
  { rows, prefix, size }: FieldShape,
): FieldInputs {
  const { heads, headDim, layers } = config.language;
  const length = flowLength(config, size);
  const cache = [rows, prefix, heads * headDim];
  return {
    bias: runtime.createTensor("f32", [rows, 1, length, prefix + length]),
    positions: runtime.createTensor("i64", [rows, length]),
    rope: ropeTensors(runtime, config, prefix + length),
    grid: gridTensors(runtime, config, size),
    prefix: Array.from({ length: layers }, () => ({
      key: runtime.createTensor(runtime.float, cache),
      value: runtime.createTensor(runtime.float, cache),
    })),
  };
}

interface Filling {
  readonly shape: FieldShape;
  readonly inputs: FieldInputs;
  readonly prompt: Session;
  readonly rows: readonly PromptRow[];
  readonly embed: Session;
  readonly signal: AbortSignal | undefined;
}

async function fill(context: StageContext<OmniGenConfig>, filling: Filling): Promise<void> {
  const { runtime, config } = context;
  const { shape, inputs, prompt, rows } = filling;
  const { prefix } = shape;
  const length = flowLength(config, shape.size);
  // Rows of long sequences read the second half of the rope tables.
  const turns = rows.map(({ ids }) =>
    isLong(config.rope, ids.length + length) ? prefix + length : 0,
  );
  const starts = rows.map(({ start }, row) => start + (turns[row] ?? 0));
  runtime.write(inputs.bias, timeThenPatchesBias(rows, prefix, length));
  runtime.write(inputs.positions, flowPositions(starts, length));

  const count = rows.length;
  const feeds = {
    embeddings: await embedRows(context, filling),
    bias: runtime.createTensor("f32", [count, 1, prefix, prefix], promptBias(rows, prefix)),
    positions: runtime.createTensor("i64", [count, prefix], flowPositions(turns, prefix)),
  };
  // The prompt pass writes its keys and values straight into what the field reads.
  const fetches = layerPorts(inputs.prefix, "keys.#", "values.#");
  await prompt.run({ ...feeds, ...inputs.rope }, fetches);
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

/** Every layer's key and value under port names whose # is the layer. */
function layerPorts(
  layers: FieldInputs["prefix"],
  keyName: string,
  valueName: string,
): Record<string, Tensor> {
  const ports: Record<string, Tensor> = {};
  for (const [layer, { key, value }] of layers.entries()) {
    ports[keyName.replace("#", String(layer))] = key;
    ports[valueName.replace("#", String(layer))] = value;
  }
  return ports;
}
