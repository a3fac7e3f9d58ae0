// JanusFlow draws: the prompt's keys and values are computed once, then the core is the velocity field of
// a rectified flow over VAE latents. Exact caching: attention is causal, so prompt keys and values depend
// neither on the latents nor on the time.
// Differs from the reference: it means to cache too, but fills its cache from the empty list it has just
// made, so every step recomputes the prompt. https://github.com/deepseek-ai/Janus/issues/218
import { present } from "../../base/assert.ts";
import type { Drawing } from "../../base/drawing.ts";
import type { Pixels } from "../../base/pixels.ts";
import {
  causalFlowBias,
  flowPositions,
  paddedIds,
  promptBias,
  type ConditionRow,
} from "../../flow/conditions.ts";
import { FlowDrawing, rowWeights } from "../../flow/flow-drawing.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import { firstNoise } from "../../flow/noise.ts";
import { eulerSchedule, uniformLevels } from "../../flow/schedule.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import { cachePorts, type LayerCache } from "../../tokens/layer-caches.ts";
import type { DrawDefaults, DrawRequest, StageContext } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";
import { promptGraph } from "./core.ts";
import { decoderGraph } from "./latents.ts";
import { drawingPrompt, type JanusTokens } from "./prompt.ts";
import { readPicture } from "../read-picture.ts";
import { checkDrawingRoom, checkOnlySize } from "../request-limits.ts";
import { ropeTensors } from "../rope-tensors.ts";
import { flowLength, velocityGraph } from "./velocity.ts";

/** Prompts are padded to a multiple of this, so that most of them find a compiled and captured field. */
export const PREFIX_STEP = 32;

/** A velocity field of fixed shapes and the pass that prepares its prompt. */
interface CompiledField extends VelocityField {
  readonly rows: number;
  readonly prefix: number;
  readonly loop: LoopSession;
  readonly prompt: Session;
  readonly inputs: FieldInputs;
}

/** What the field reads beside latents and time. */
interface FieldInputs {
  readonly bias: Tensor;
  readonly positions: Tensor;
  readonly rope: ReturnType<typeof ropeTensors>;
  /** Keys and values of every layer, which the prompt pass writes and the field reads. */
  readonly prefix: readonly LayerCache[];
}

/** The drawing half of a JanusFlow model. */
export class JanusFlowDrawer {
  readonly #context: StageContext<JanusFlowConfig>;
  readonly #tokens: JanusTokens;
  readonly #decoder: Session;
  #field: CompiledField | undefined;

  private constructor(
    context: StageContext<JanusFlowConfig>,
    tokens: JanusTokens,
    decoder: Session,
  ) {
    this.#context = context;
    this.#tokens = tokens;
    this.#decoder = decoder;
  }

  /** Compiles the decoder and the field for short prompts with guidance; weights must be loaded. */
  static async create(
    context: StageContext<JanusFlowConfig>,
    tokens: JanusTokens,
  ): Promise<JanusFlowDrawer> {
    const { config, runtime, weights, quantization } = context;
    const graph = decoderGraph(config, { quantization });
    const decoder = await runtime.createSession(graph, weights.tensors);
    const drawer = new JanusFlowDrawer(context, tokens, decoder);
    await drawer.#fieldFor(2, PREFIX_STEP);
    return drawer;
  }

  /** Does the flow loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return present(this.#field, "field").loop;
  }

  async prepare(request: DrawRequest, signal?: AbortSignal): Promise<Drawing> {
    const { runtime, config } = this.#context;
    const { latentShape } = config;
    const { steps, guidance } = request;
    checkOnlySize(request, drawDefaults(config));
    const schedule = eulerSchedule(uniformLevels(steps));
    const noise = firstNoise(request, latentShape);
    const field = await this.#condition(this.#conditionRows(request), signal);
    return new FlowDrawing(runtime, {
      field,
      schedule,
      latentShape,
      noise,
      guidance,
      weights: rowWeights(guidance),
      decode: () => this.#decode(field),
    });
  }

  async dispose(): Promise<void> {
    await this.#decoder.dispose();
    await this.#releaseField();
  }

  /** The field of these prompts, their keys and values filled in. */
  async #condition(rows: readonly ConditionRow[], signal?: AbortSignal): Promise<CompiledField> {
    const longest = Math.max(...rows.map(({ ids }) => ids.length));
    const { maxPositions } = this.#context.config.language;
    const picture = flowLength(this.#context.config);
    checkDrawingRoom({ prompt: longest, picture, maxPositions });
    const prefix = Math.ceil(longest / PREFIX_STEP) * PREFIX_STEP;
    const field = await this.#fieldFor(rows.length, prefix);
    signal?.throwIfAborted();
    await this.#prefill(field, rows);
    return field;
  }

  async #decode({ latents }: VelocityField): Promise<Pixels> {
    const { runtime } = this.#context;
    const { image: decoded } = await this.#decoder.run({ latents });
    // The demo truncates, the README's torchvision call rounds; the README's is kept.
    return readPicture(runtime, present(decoded, "image"), "round");
  }

  /** Conditional row, then the unconditional one where guidance asks for it. */
  #conditionRows({ prompt, negativePrompt, guidance }: DrawRequest): ConditionRow[] {
    const ids = drawingPrompt(prompt, this.#tokens);
    const conditional = { ids, start: ids.length };
    if (guidance === 1) return [conditional];
    if (negativePrompt === undefined) {
      // The reference pads and hides everything but BOS, positions unchanged: the same as BOS alone with
      // the flow starting where the conditional row's does.
      return [conditional, { ids: [this.#tokens.bos], start: ids.length }];
    }
    const negative = drawingPrompt(negativePrompt, this.#tokens);
    return [conditional, { ids: negative, start: negative.length }];
  }

  async #prefill(field: CompiledField, rows: readonly ConditionRow[]): Promise<void> {
    const { runtime, config } = this.#context;
    const { prefix: width, inputs } = field;
    const length = flowLength(config);
    const starts = rows.map(({ start }) => start);
    runtime.write(inputs.bias, causalFlowBias(rows, width, length));
    runtime.write(inputs.positions, flowPositions(starts, length));

    const shape = [rows.length, width];
    const fromZero = flowPositions(
      starts.map(() => 0),
      width,
    );
    const feeds = {
      ids: runtime.createTensor("i32", shape, paddedIds(rows, width)),
      bias: runtime.createTensor("f32", [rows.length, 1, width, width], promptBias(rows, width)),
      positions: runtime.createTensor("i64", shape, fromZero),
    };
    // The prompt pass writes its keys and values straight into what the field reads.
    const fetches = cachePorts(inputs.prefix, "present");
    await field.prompt.run({ ...feeds, ...inputs.rope }, fetches);
    for (const tensor of Object.values(feeds)) tensor.dispose();
  }

  /** The compiled field of this shape; replaces one of another shape. */
  async #fieldFor(rows: number, prefix: number): Promise<CompiledField> {
    if (this.#field?.rows === rows && this.#field.prefix === prefix) return this.#field;
    await this.#releaseField();
    this.#field = await this.#compileField(rows, prefix);
    return this.#field;
  }

  async #compileField(rows: number, prefix: number): Promise<CompiledField> {
    const { runtime, config, weights, quantization } = this.#context;
    const options = { float: runtime.float, quantization };
    const [channels, height, width] = config.latentShape;
    const latents = runtime.createTensor("f32", [1, channels, height, width]);
    const time = runtime.createTensor("f32", [1]);
    const velocity = await runtime.createStableTensor("f32", [rows, channels, height, width]);
    const inputs = this.#fieldInputs(rows, prefix);
    const { bias, positions, rope } = inputs;
    const past = cachePorts(inputs.prefix, "prefix");
    const prompt = await runtime.createSession(
      promptGraph(config, rows, prefix, options),
      weights.tensors,
    );
    const graph = velocityGraph(config, rows, prefix, options);
    const loop = await createLoopSession(runtime, {
      graph,
      weights: weights.tensors,
      feeds: { latents, time, bias, positions, ...rope, ...past },
      fetches: { velocity },
      freeFeeds: ["latents", "time"],
    });
    const evaluate = (): Promise<void> => loop.run();
    return { rows, prefix, loop, prompt, inputs, latents, time, velocity, evaluate };
  }

  #fieldInputs(rows: number, prefix: number): FieldInputs {
    const { runtime, config } = this.#context;
    const { heads, headDim, layers, maxPositions } = config.language;
    const length = flowLength(config);
    const shape = [rows, prefix, heads * headDim];
    return {
      bias: runtime.createTensor("f32", [rows, 1, length, prefix + length]),
      positions: runtime.createTensor("i64", [rows, length]),
      rope: ropeTensors(runtime, config.language, Math.min(prefix + length, maxPositions)),
      prefix: Array.from({ length: layers }, () => ({
        key: runtime.createTensor(runtime.float, shape),
        value: runtime.createTensor(runtime.float, shape),
      })),
    };
  }

  async #releaseField(): Promise<void> {
    const field = this.#field;
    this.#field = undefined;
    if (field === undefined) return;
    await field.loop.dispose();
    await field.prompt.dispose();
    const { latents, time, velocity, inputs } = field;
    const { bias, positions, rope, prefix } = inputs;
    const caches = prefix.flatMap(({ key, value }) => [key, value]);
    const all = [latents, time, velocity, bias, positions, ...Object.values(rope), ...caches];
    for (const tensor of all) tensor.dispose();
  }
}

/** The numbers of the README's call: 30 steps, weight 2. https://github.com/deepseek-ai/Janus/blob/1daa72f/README.md#L620 */
export function drawDefaults({ imageSize }: JanusFlowConfig): DrawDefaults {
  return { width: imageSize, height: imageSize, steps: 30, guidance: 2 };
}
