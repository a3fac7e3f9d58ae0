// Binds pack-pixels.wgsl: a picture in [-1, 1], plane by plane, to RGBA bytes.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import { workgroupsFor } from "../kernel.ts";
import type { KernelBinder } from "../kernel.ts";
import type { GpuTensor } from "../tensor.ts";
import code from "./pack-pixels.wgsl?raw";

/** Tensors of {@link bindPackPixels}. */
export interface PackPixelsBinding {
  /** f32 [3, height, width] */
  readonly image: GpuTensor;
  /** u32 [height, width] */
  readonly packed: GpuTensor;
  readonly width: number;
  readonly height: number;
  readonly rounding: "truncate" | "round";
}

/** One dispatch. */
export function bindPackPixels(binder: KernelBinder, binding: PackPixelsBinding): () => void {
  const { image, packed, width, height, rounding } = binding;
  const pixels = width * height;
  assert(elementCount(image.shape) >= 3 * pixels, "image has three planes of all pixels");
  assert(elementCount(packed.shape) >= pixels, "packed has all pixels");
  return binder.dispatch([
    binder.bind(
      { name: "pack-pixels", code, entryPoint: "pack" },
      {
        uniforms: [{ u32: pixels }, { f32: rounding === "round" ? 0.5 : 0 }],
        tensors: { 1: image, 2: packed },
        workgroups: workgroupsFor(pixels, 256),
      },
    ),
  ]);
}
