// First noise of a picture: torch's CPU numbers, so that a seed means the same in Python and here.
import { TorchGenerator } from "../base/random.ts";
import { elementCount, type Shape } from "../base/shape.ts";

/**
 * Standard normal noise for `count` pictures, what
 * `torch.randn((count, *shape), generator=torch.Generator("cpu").manual_seed(seed))` gives.
 *
 * @returns count * product(shape) values
 */
export function torchNoise(seed: number, count: number, shape: Shape): Float32Array<ArrayBuffer> {
  return new TorchGenerator(seed).randn(count * elementCount(shape));
}

/** Where the first noise comes from. */
export interface NoiseRequest {
  readonly seed: number;
  readonly count: number;
  /** Replaces the seed's noise. */
  readonly latents?: Float32Array<ArrayBuffer> | undefined;
}

/**
 * The noise that a request asks for: injected latents as they are, else torch's.
 *
 * @throws RangeError when injected latents are not [count, ...shape]
 */
export function firstNoise(
  { seed, count, latents }: NoiseRequest,
  shape: Shape,
): Float32Array<ArrayBuffer> {
  if (latents === undefined) return torchNoise(seed, count, shape);
  const expected = count * elementCount(shape);
  if (latents.length !== expected) {
    throw new RangeError(
      `latents must hold ${expected} numbers, [${[count, ...shape].join(", ")}], got ${latents.length}.`,
    );
  }
  return latents;
}
