// Pictures drawn by a flow: first noise, solver, latents.
import { assert } from "../base/assert.ts";
import type { Drawing, DrawingOptions, DrawingStep } from "../base/drawing.ts";
import { ModelError } from "../base/errors.ts";
import { brokenNumbers } from "../base/numerics.ts";
import type { Pixels } from "../base/pixels.ts";
import { elementCount } from "../base/shape.ts";
import type { Runtime, Tensor } from "../session/runtime.ts";
import { brokenStep, evaluationsOf, integrate } from "./integrate.ts";
import type { VelocityField } from "./integrate.ts";
import type { Schedule } from "./schedule.ts";

/** What a flow draws with. */
export interface FlowDrawingParts {
  readonly field: VelocityField;
  readonly schedule: Schedule;
  /** As asked for; told to whoever wants to draw the same again. */
  readonly guidance: number;
  /** v = sum of weight[r] * velocity[r]; one weight for each row of the field. */
  readonly weights: readonly number[];
  /** [channels, height, width] of one picture. */
  readonly latentShape: readonly number[];
  /** Standard normal noise of all pictures, one after the other. */
  readonly noise: Float32Array<ArrayBuffer>;
  /** Latents on the device -> picture. Reads back once. */
  decode(): Promise<Pixels>;
}

/** Weights of two rows, what is wanted and what guidance leads away from; of the first alone where guidance is 1. */
export function rowWeights(guidance: number): readonly number[] {
  return guidance === 1 ? [1] : [guidance, 1 - guidance];
}

/** A drawing whose steps are a solver's. Keep it for one call: `dispose` frees what it holds. */
export class FlowDrawing implements Drawing {
  readonly steps: number;
  readonly guidance: number;
  readonly latentShape: readonly number[];
  readonly #runtime: Runtime;
  /** What it was made of: tests and benchmarks look at single evaluations. */
  readonly parts: FlowDrawingParts;
  readonly #progress: Tensor;
  /** First noise of the newest picture. */
  #first = new Float32Array(0);

  constructor(runtime: Runtime, parts: FlowDrawingParts) {
    this.steps = parts.schedule.steps;
    this.guidance = parts.guidance;
    this.latentShape = parts.latentShape;
    this.#runtime = runtime;
    this.parts = parts;
    this.#progress = runtime.createTensor("u32", [2]);
  }

  async *draw(
    image: number,
    { settleEvery, signal }: DrawingOptions,
  ): AsyncGenerator<DrawingStep, void, undefined> {
    const { field, schedule, weights, noise } = this.parts;
    const size = elementCount(this.latentShape);
    const own = noise.subarray(image * size, (image + 1) * size);
    const { noiseScale } = schedule;
    this.#first = noiseScale === 1 ? own : own.map((x) => x * noiseScale);
    this.#runtime.write(field.latents, this.#first);
    const progress = this.#progress;
    yield* integrate(this.#runtime, field, { schedule, weights, progress, settleEvery, signal });
  }

  /** @throws ModelError numerics when the decoder, or a step before it, gave no numbers */
  async decode(): Promise<Pixels> {
    try {
      return await this.parts.decode();
    } catch (error) {
      // A step gone wrong is why, and knows its number.
      if (ModelError.isModelError(error) && error.code === "numerics") await this.#checkSteps();
      throw error;
    }
  }

  /** The field belongs to the stage, which keeps it for the next drawing. */
  dispose(): void {
    this.#progress.dispose();
  }

  /**
   * Read once, after the last step: also the place where a loop gone wrong is noticed.
   *
   * @throws ModelError numerics when a step gave no numbers, or the device did not do the work that it told of
   */
  async readLatents(): Promise<Float32Array<ArrayBuffer>> {
    const [values, done] = await Promise.all([
      this.#runtime.read(this.parts.field.latents),
      this.#checkSteps(),
    ]);
    assert(values instanceof Float32Array, "latents are f32");
    const broken = values.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) {
      throw brokenNumbers(`Latent ${broken} is ${String(values[broken])} after the last step`, {
        step: this.steps,
        index: broken,
      });
    }
    const expected = evaluationsOf(this.parts.schedule);
    if (done !== expected) {
      throw brokenNumbers(`The device did ${done} of ${expected} evaluations`, { done, expected });
    }
    this.#checkMoved(values);
    return new Float32Array(values);
  }

  /** Evaluations that the device has done. @throws ModelError numerics */
  async #checkSteps(): Promise<number> {
    const [done = 0, mark = 0] = await this.#runtime.read(this.#progress);
    const step = brokenStep(this.parts.schedule, mark);
    if (step === undefined) return done;
    throw brokenNumbers(`Step ${step} of ${this.steps} gave latents that are no numbers`, { step });
  }

  // What a device leaves that forgot the work, or the memory: nothing of noise ends like this.
  #checkMoved(values: Float32Array): void {
    if (isConstant(this.#first)) return;
    if (isConstant(values)) {
      const [value = 0] = values;
      throw brokenNumbers(`All latents are ${value} after the last step`, { step: this.steps });
    }
    if (values.every((value, n) => value === this.#first[n])) {
      throw brokenNumbers("The last latents are the first noise", { step: this.steps });
    }
  }
}

function isConstant(values: Float32Array): boolean {
  return values.every((value) => value === values[0]);
}
