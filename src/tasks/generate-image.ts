// prompt -> conditions -> noise -> latents -> pixels, for each picture that was asked for.
import { assert } from "../base/assert.ts";
import { fail } from "../base/errors.ts";
import type { DrawResult, ImageTimings, RunEvent } from "../base/events.ts";
import type { ImageRequest } from "../base/requests.ts";
import type { Pixels } from "../base/pixels.ts";
import { elementCount } from "../base/shape.ts";
import { integrate, type VelocityField } from "../flow/integrate.ts";
import { torchNoise } from "../flow/noise.ts";
import type { DrawByFlow, Stages } from "../models/family.ts";
import { startPace } from "./pace.ts";

/**
 * Draws pictures from a prompt.
 *
 * @returns pictures, their final latents, and the numbers that made them
 * @throws RangeError for a size, step count or latents the model cannot do; the signal's reason within one step
 * @throws ModelError numerics when the latents are not finite numbers at the end
 */
export async function* generateImage(
  stages: Stages,
  request: ImageRequest,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, DrawResult, undefined> {
  const { runtime, draw } = stages;
  if (draw === undefined) throw fail("unsupported-model", "This model does not draw pictures.");
  const { width, height, steps, guidance } = { ...draw.defaults, ...definedOnly(request) };
  const shape = draw.latentShape(width, height);
  const times = draw.times(steps);
  const noise = firstNoise(request, shape);

  const prompting = startPace();
  const { prompt, negativePrompt } = request;
  const conditions = {
    prompt,
    guidance,
    ...(negativePrompt === undefined ? {} : { negativePrompt }),
  };
  const field = await draw.condition(conditions, signal);
  const promptSeconds = prompting.at(0).elapsedSeconds;

  const size = elementCount(shape);
  const latents = new Float32Array(noise.length);
  const pictures: Pixels[] = [];
  const flowing = startPace(steps * request.count);
  let decodeSeconds = 0;
  for (let image = 0; image < request.count; image++) {
    runtime.write(field.latents, noise.subarray(image * size, (image + 1) * size));
    const loop = { times, guidance, settleEvery: request.previewEvery, signal };
    for await (const { step, isSettled } of integrate(runtime, field, loop)) {
      yield { type: "step", image, step, steps, ...flowing.at(image * steps + step) };
      const wantsPreview = request.previewEvery > 0 && step % request.previewEvery === 0;
      if (wantsPreview && isSettled && step < steps) {
        yield { type: "preview", image, step, pixels: await draw.decode(field) };
      }
    }
    const decoding = startPace();
    latents.set(await finalLatents(stages, field), image * size);
    const pixels = await draw.decode(field);
    decodeSeconds += decoding.at(0).elapsedSeconds;
    pictures.push(pixels);
    yield { type: "image", image, pixels };
  }
  const stepsSeconds = flowing.at(0).elapsedSeconds - decodeSeconds;
  const timings: ImageTimings = { promptSeconds, stepsSeconds, decodeSeconds };
  const latentShape = [request.count, ...shape];
  return { pictures, seed: request.seed, steps, guidance, latents, latentShape, timings };
}

/** The asked-for numbers that override the family's defaults. */
function definedOnly(request: ImageRequest): Partial<DrawByFlow["defaults"]> {
  const { width, height, steps, guidance } = request;
  return Object.fromEntries(
    Object.entries({ width, height, steps, guidance }).filter(([, value]) => value !== undefined),
  );
}

function firstNoise(request: ImageRequest, shape: readonly number[]): Float32Array<ArrayBuffer> {
  const { latents, count, seed } = request;
  if (latents === undefined) return torchNoise(seed, count, shape);
  const expected = count * elementCount(shape);
  if (latents.length !== expected) {
    throw new RangeError(
      `latents must hold ${expected} numbers, [${[count, ...shape].join(", ")}], got ${latents.length}.`,
    );
  }
  return latents;
}

// Read once, after the last step: also the place where a loop gone wrong is noticed.
async function finalLatents({ runtime }: Stages, field: VelocityField): Promise<Float32Array> {
  const values = await runtime.read(field.latents);
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
  return values;
}
