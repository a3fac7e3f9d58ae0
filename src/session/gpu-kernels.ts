// The kernels of the contract on the GPU: checks that the tensors are on it, binds the WGSL.
import { KernelBinder } from "../gpu/kernel.ts";
import { bindFindBroken } from "../gpu/kernels/find-broken.ts";
import { bindMixRows } from "../gpu/kernels/mix-rows.ts";
import { bindPackPixels } from "../gpu/kernels/pack-pixels.ts";
import { bindPickToken } from "../gpu/kernels/pick-token.ts";
import { bindSolverStep } from "../gpu/kernels/solver-step.ts";
import { onGpu } from "./ort-tensors.ts";
import type { Kernels } from "./runtime.ts";

/** Kernels on one device; pipelines are compiled when a kernel is first bound. */
export function createGpuKernels(device: GPUDevice): Kernels {
  const binder = new KernelBinder(device);
  return {
    solverStep: (binding) =>
      bindSolverStep(binder, {
        weights: binding.weights,
        latents: onGpu(binding.latents),
        start: onGpu(binding.start),
        velocity: onGpu(binding.velocity),
        moves: onGpu(binding.moves),
        times: onGpu(binding.times),
        progress: onGpu(binding.progress),
        time: onGpu(binding.time),
      }),
    mixRows: ({ rows, weights, mixed }) =>
      bindMixRows(binder, { rows: onGpu(rows), weights, mixed: onGpu(mixed) }),
    pickToken: (binding) =>
      bindPickToken(binder, {
        ...binding,
        logits: onGpu(binding.logits),
        rules: onGpu(binding.rules),
        token: onGpu(binding.token),
        ids: onGpu(binding.ids),
        count: onGpu(binding.count),
        advance: binding.advance.map(onGpu),
      }),
    findBroken: ({ values, report }) =>
      bindFindBroken(binder, { values: onGpu(values), report: onGpu(report) }),
    packPixels: (binding) =>
      bindPackPixels(binder, {
        ...binding,
        image: onGpu(binding.image),
        packed: onGpu(binding.packed),
      }),
  };
}
