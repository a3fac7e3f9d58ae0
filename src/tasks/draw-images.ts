// prompt, and the pictures to start from -> drawing -> pixels, for each picture that was asked for.
import { fail } from "../base/errors.ts";
import type { DrawResult, ImageTimings, Pace, RunEvent } from "../base/events.ts";
import type { Drawing } from "../base/drawing.ts";
import type { EditRequest } from "../base/requests.ts";
import type { Pixels } from "../base/pixels.ts";
import { elementCount } from "../base/shape.ts";
import type { DrawDefaults, DrawRequest, DrawStage, Stages } from "../models/family.ts";
import { startPace } from "./pace.ts";
import { paint } from "./paint.ts";

/**
 * Draws pictures from a prompt, and edits pictures where the request has some.
 *
 * @returns pictures, their final latents, and the numbers that made them
 * @throws RangeError for a size, step count or latents the model cannot do; the signal's reason within one step
 * @throws ModelError numerics when the latents are not finite numbers at the end
 */
export async function* drawImages(
  { draw, whyNoDrawing }: Pick<Stages, "draw" | "whyNoDrawing">,
  request: EditRequest,
  signal?: AbortSignal,
): AsyncGenerator<RunEvent, DrawResult, undefined> {
  if (draw === undefined) {
    throw fail("unsupported-model", whyNoDrawing ?? "This model does not draw pictures.");
  }
  const complete = withDefaults(draw, request);
  const prompting = startPace();
  const drawing = await draw.prepare(complete, signal);
  const promptSeconds = prompting.at(0).elapsedSeconds;
  try {
    return yield* drawAll(drawing, { ...request, ...complete }, promptSeconds, signal);
  } finally {
    drawing.dispose();
  }
}

/** The request with the family's numbers where it has none. @throws RangeError for too many pictures */
function withDefaults(draw: DrawStage, request: EditRequest): DrawRequest {
  const { images } = request;
  if (images.length > draw.maxImages) {
    throw new RangeError(
      `This model starts from at most ${draw.maxImages} pictures, got ${images.length}.`,
    );
  }
  const { width, height, steps, guidance, imageGuidance } = request;
  const asked: Partial<DrawDefaults> = Object.fromEntries(
    Object.entries({ width, height, steps, guidance, imageGuidance }).filter(
      ([, value]) => value !== undefined,
    ),
  );
  return { ...request, ...draw.defaults(images), ...asked };
}

async function* drawAll(
  drawing: Drawing,
  request: DrawRequest & { readonly previewEvery: number },
  promptSeconds: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<RunEvent, DrawResult, undefined> {
  const { count, seed, previewEvery, guidance } = request;
  const { steps, latentShape } = drawing;
  const size = elementCount(latentShape);
  const latents = new Float32Array(count * size);
  const pictures: Pixels[] = [];
  const drawn = startPace(steps * count);
  let decodeSeconds = 0;
  for (let image = 0; image < count; image++) {
    const paceAt = (step: number): Pace => drawn.at(image * steps + step);
    const painted = yield* paint(drawing, { image, previewEvery, paceAt, signal });
    latents.set(painted.latents, image * size);
    pictures.push(painted.pixels);
    decodeSeconds += painted.decodeSeconds;
  }
  const stepsSeconds = drawn.at(0).elapsedSeconds - decodeSeconds;
  const timings: ImageTimings = { promptSeconds, stepsSeconds, decodeSeconds };
  return {
    pictures,
    seed,
    steps,
    guidance,
    latents,
    latentShape: [count, ...latentShape],
    timings,
  };
}
