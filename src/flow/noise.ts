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
