// The kernels of the loops in plain TypeScript, for the wasm backend. Same formulas as gpu/kernels/*.wgsl.
import { assert, present } from "../base/assert.ts";
import { CpuTensor } from "./cpu-tensor.ts";
import { pickTokenId } from "./pick-token-id.ts";
import type { Dispatch, Kernels, Tensor } from "./runtime.ts";

/** Kernels over CpuTensors; `onDispatch` is called once for each call of a bound kernel. */
export function createCpuKernels(onDispatch: () => void): Kernels {
  const counted = (compute: Dispatch): Dispatch => {
    return () => {
      onDispatch();
      compute();
    };
  };
  return {
    guidedEuler: (binding) => counted(guidedEuler(binding)),
    pickToken: (binding) => counted(pickToken(binding)),
    packPixels: (binding) => counted(packPixels(binding)),
  };
}

function guidedEuler(binding: Parameters<Kernels["guidedEuler"]>[0]): Dispatch {
  const [x, v, times] = [f32(binding.latents), f32(binding.velocity), f32(binding.times)];
  const [index, time] = [u32(binding.index), f32(binding.time)];
  const hasTwoRows = v.length === 2 * x.length;
  assert(hasTwoRows || v.length === x.length, "velocity has one or two rows of latents");
  return () => {
    const step = present(index[0], "index");
    if (step + 1 >= times.length) return;
    const dt = Math.fround(at(times, step + 1) - at(times, step));
    for (let n = 0; n < x.length; n++) {
      const unconditional = hasTwoRows ? at(v, n + x.length) : undefined;
      x[n] = at(x, n) + dt * guided(at(v, n), unconditional, binding.guidance);
    }
    index[0] = step + 1;
    time[0] = at(times, step + 1);
  };
}

function pickToken(binding: Parameters<Kernels["pickToken"]>[0]): Dispatch {
  const logits = f32(binding.logits).subarray(0, binding.vocabularySize);
  const [token, ids, count] = [i32(binding.token), i32(binding.ids), i32(binding.count)];
  const advance = binding.advance.map(i32);
  return () => {
    const picked = present(count[0], "count");
    const id = pickTokenId(logits, binding, picked);
    token[0] = id;
    if (picked < ids.length) ids[picked] = id;
    for (const counter of [count, ...advance]) counter[0] = (counter[0] ?? 0) + 1;
  };
}

function packPixels(binding: Parameters<Kernels["packPixels"]>[0]): Dispatch {
  const [planes, packed] = [f32(binding.image), u32(binding.packed)];
  const area = binding.width * binding.height;
  assert(planes.length >= 3 * area && packed.length >= area, "image and packed have all pixels");
  const offset = binding.rounding === "round" ? 0.5 : 0;
  const byteAt = (n: number): number =>
    Math.floor(Math.min(255, Math.max(0, ((at(planes, n) + 1) / 2) * 255 + offset)));
  return () => {
    for (let n = 0; n < area; n++) {
      const [r, g, b] = [byteAt(n), byteAt(n + area), byteAt(n + 2 * area)];
      packed[n] = (r | (g << 8) | (b << 16) | (255 << 24)) >>> 0;
    }
  };
}

function guided(conditional: number, unconditional: number | undefined, guidance: number): number {
  if (unconditional === undefined) return conditional;
  return unconditional + guidance * (conditional - unconditional);
}

function at(values: Float32Array, n: number): number {
  return values[n] ?? Number.NaN;
}

function f32(tensor: Tensor): Float32Array {
  const values = valuesOf(tensor);
  assert(values instanceof Float32Array, "the kernel's tensor is f32");
  return values;
}

function i32(tensor: Tensor): Int32Array {
  const values = valuesOf(tensor);
  assert(values instanceof Int32Array, "the kernel's tensor is i32");
  return values;
}

function u32(tensor: Tensor): Uint32Array {
  const values = valuesOf(tensor);
  assert(values instanceof Uint32Array, "the kernel's tensor is u32");
  return values;
}

function valuesOf(tensor: Tensor) {
  assert(tensor instanceof CpuTensor, "the kernel's tensor belongs to the wasm runtime");
  return tensor.values;
}
