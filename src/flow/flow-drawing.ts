// Pictures drawn by a flow: first noise, solver, latents.
import { assert } from "../base/assert.ts";
import type { Drawing, DrawingOptions, DrawingStep } from "../base/drawing.ts";
import { fail } from "../base/errors.ts";
import type { Pixels } from "../base/pixels.ts";
import { elementCount } from "../base/shape.ts";
import type { Runtime } from "../session/runtime.ts";
import { integrate, type VelocityField } from "./integrate.ts";
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

/** A drawing whose steps are a solver's. */
export class FlowDrawing implements Drawing {
  readonly steps: number;
  readonly guidance: number;
  readonly latentShape: readonly number[];
  readonly #runtime: Runtime;
  /** What it was made of: tests and benchmarks look at single evaluations. */
  readonly parts: FlowDrawingParts;

  constructor(runtime: Runtime, parts: FlowDrawingParts) {
    this.steps = parts.schedule.steps;
    this.guidance = parts.guidance;
    this.latentShape = parts.latentShape;
    this.#runtime = runtime;
    this.parts = parts;
  }

  async *draw(
    image: number,
    { settleEvery, signal }: DrawingOptions,
  ): AsyncGenerator<DrawingStep, void, undefined> {
    const { field, schedule, weights, noise } = this.parts;
    const size = elementCount(this.latentShape);
    const own = noise.subarray(image * size, (image + 1) * size);
    const { noiseScale } = schedule;
    this.#runtime.write(field.latents, noiseScale === 1 ? own : own.map((x) => x * noiseScale));
    yield* integrate(this.#runtime, field, { schedule, weights, settleEvery, signal });
  }

  decode(): Promise<Pixels> {
    return this.parts.decode();
  }

  /** The field belongs to the stage, which keeps it for the next drawing. */
  dispose(): void {}

  // Read once, after the last step: also the place where a loop gone wrong is noticed.
  async readLatents(): Promise<Float32Array<ArrayBuffer>> {
    const values = await this.#runtime.read(this.parts.field.latents);
    assert(values instanceof Float32Array, "latents are f32");
    const broken = values.findIndex((value) => !Number.isFinite(value));
    if (broken >= 0) {
      throw fail(
        "numerics",
        `Latent ${broken} is ${String(values[broken])} after the last step. The weights or this device's ` +
          "arithmetic are broken; try quantization 'f32' or another device.",
        { index: broken },
      );
    }
    return new Float32Array(values);
  }
}
