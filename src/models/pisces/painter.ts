// Pisces paints: vectors -> UNet, integrated over sigmas -> VAE.
import { assert, present } from "../../base/assert.ts";
import type { Pixels } from "../../base/pixels.ts";
import { eulerDiscreteSchedule } from "../../flow/euler-discrete.ts";
import { FlowDrawing, rowWeights } from "../../flow/flow-drawing.ts";
import type { VelocityField } from "../../flow/integrate.ts";
import { firstNoise } from "../../flow/noise.ts";
import { createLoopSession, type LoopSession } from "../../session/loop-session.ts";
import type { Session, Tensor } from "../../session/runtime.ts";
import type { DrawRequest, StageContext } from "../family.ts";
import { readPicture } from "../read-picture.ts";
import type { PiscesConfig } from "./config.ts";
import { decoderGraph } from "./latents.ts";
import { latentShape, velocityGraph, type FieldSize } from "./velocity.ts";

/** A velocity field of fixed shapes, and the decoder of its latents. */
interface CompiledField extends VelocityField {
  readonly size: FieldSize;
  readonly loop: LoopSession;
  readonly decoder: Session;
  /** [rows, vectors, vector size] */
  readonly conditions: Tensor;
}

/** UNet and VAE of a Pisces model. */
export class PiscesPainter {
  readonly #context: StageContext<PiscesConfig>;
  #field: CompiledField | undefined;

  private constructor(context: StageContext<PiscesConfig>) {
    this.#context = context;
  }

  /** Compiles the field for pictures of the default size with guidance; weights must be loaded. */
  static async create(context: StageContext<PiscesConfig>): Promise<PiscesPainter> {
    const { imageSize } = context.config;
    const painter = new PiscesPainter(context);
    await painter.#fieldFor({ rows: 2, width: imageSize, height: imageSize });
    return painter;
  }

  /** Does the flow loop replay a captured command list; else why not. */
  get capture(): Pick<LoopSession, "isCaptured" | "note"> {
    return present(this.#field, "field").loop;
  }

  /**
   * A drawing from vectors that the core has emitted.
   *
   * @param rows - [1, vectors, vector size] each: those of the prompt, and those that guidance leads away from
   */
  async prepare(request: DrawRequest, rows: readonly Tensor[]): Promise<FlowDrawing> {
    const { runtime, config } = this.#context;
    const { width, height, steps, guidance } = request;
    assert(rows.length === 1 || rows.length === 2, "vectors with or without guidance");
    const size = { rows: rows.length, width, height };
    const field = await this.#fieldFor(size);
    for (const [row, { byteLength: bytes }] of rows.entries()) {
      runtime.copy(present(rows[row], "vectors"), field.conditions, {
        targetOffset: row * bytes,
        bytes,
      });
    }
    const shape = latentShape(config, size);
    return new FlowDrawing(runtime, {
      field,
      schedule: eulerDiscreteSchedule(steps, config.scheduler),
      latentShape: shape,
      noise: firstNoise(request, shape),
      guidance,
      weights: rowWeights(guidance),
      decode: () => this.#decode(field),
    });
  }

  async dispose(): Promise<void> {
    const field = this.#field;
    this.#field = undefined;
    if (field === undefined) return;
    await field.loop.dispose();
    await field.decoder.dispose();
    const { latents, time, velocity, conditions } = field;
    for (const tensor of [latents, time, velocity, conditions]) tensor.dispose();
  }

  async #decode({ latents, decoder }: CompiledField): Promise<Pixels> {
    const { image } = await decoder.run({ latents });
    return readPicture(this.#context.runtime, present(image, "image"), "round");
  }

  /** The compiled field of this size; replaces one of another size. */
  async #fieldFor(size: FieldSize): Promise<CompiledField> {
    const known = this.#field;
    const isSame =
      known?.size.rows === size.rows &&
      known.size.width === size.width &&
      known.size.height === size.height;
    if (isSame) return known;
    await this.dispose();
    this.#field = await this.#compileField(size);
    return this.#field;
  }

  async #compileField(size: FieldSize): Promise<CompiledField> {
    const { runtime, config, weights, quantization } = this.#context;
    const { rows } = size;
    const shape = latentShape(config, size);
    const latents = runtime.createTensor("f32", [1, ...shape]);
    const time = runtime.createTensor("f32", [2]);
    const velocity = await runtime.createStableTensor("f32", [rows, ...shape]);
    const conditionShape = [rows, config.vectors, config.vectorSize];
    const conditions = runtime.createTensor(runtime.float, conditionShape);
    const decoderOf = decoderGraph(config, size, { quantization });
    const decoder = await runtime.createSession(decoderOf, weights.tensors);
    const loop = await createLoopSession(runtime, {
      graph: velocityGraph(config, size, { float: runtime.float, quantization }),
      weights: weights.tensors,
      feeds: { latents, time, conditions },
      fetches: { velocity },
      freeFeeds: ["latents", "time", "conditions"],
    });
    const evaluate = (): Promise<void> => loop.run();
    return { size, loop, decoder, conditions, latents, time, velocity, evaluate };
  }
}
