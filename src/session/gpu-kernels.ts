// The kernels of the contract on the GPU: checks that the tensors are on it, binds the WGSL.
import { KernelBinder } from "../gpu/kernel.ts";
import { bindGuidedEuler } from "../gpu/kernels/guided-euler.ts";
import { bindPackPixels } from "../gpu/kernels/pack-pixels.ts";
import { bindPickToken } from "../gpu/kernels/pick-token.ts";
import { onGpu } from "./ort-tensors.ts";
import type { Kernels } from "./runtime.ts";

/** Kernels on one device; pipelines are compiled when a kernel is first bound. */
export function createGpuKernels(device: GPUDevice): Kernels {
  const binder = new KernelBinder(device);
  return {
    guidedEuler: (binding) =>
      bindGuidedEuler(binder, {
        ...binding,
        latents: onGpu(binding.latents),
        velocity: onGpu(binding.velocity),
        times: onGpu(binding.times),
        index: onGpu(binding.index),
        time: onGpu(binding.time),
      }),
    pickToken: (binding) =>
      bindPickToken(binder, {
        ...binding,
        logits: onGpu(binding.logits),
        token: onGpu(binding.token),
        ids: onGpu(binding.ids),
        count: onGpu(binding.count),
        advance: binding.advance.map(onGpu),
      }),
    packPixels: (binding) =>
      bindPackPixels(binder, {
        ...binding,
        image: onGpu(binding.image),
        packed: onGpu(binding.packed),
      }),
  };
}
