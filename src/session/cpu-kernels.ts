// The kernels of the loops in plain TypeScript, for the wasm backend. Same formulas as gpu/kernels/*.wgsl.
import { assert, present } from "../base/assert.ts";
import { CpuTensor } from "./cpu-tensor.ts";
import { pickTokenId, ruledLogits } from "./pick-token-id.ts";
import { BROKEN_PIXEL, BROKEN_TOKEN, FORBIDDEN_TOKEN, SAME_PIXEL, SEEN_TOKEN } from "./runtime.ts";
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
    solverStep: (binding) => counted(solverStep(binding)),
    mixRows: (binding) => counted(mixRows(binding)),
    pickToken: (binding) => counted(pickToken(binding)),
    findBroken: (binding) => counted(findBroken(binding)),
    packPixels: (binding) => counted(packPixels(binding)),
  };
}

function solverStep(binding: Parameters<Kernels["solverStep"]>[0]): Dispatch {
  const [x, start, velocity] = [f32(binding.latents), f32(binding.start), f32(binding.velocity)];
  const [moves, times, time] = [f32(binding.moves), f32(binding.times), f32(binding.time)];
  const progress = u32(binding.progress);
  const { weights } = binding;
  assert(velocity.length === weights.length * x.length, "velocity has one row for each weight");
  const evaluations = moves.length / 2;
  const width = times.length / evaluations;
  return () => {
    const now = present(progress[0], "progress");
    if (now >= evaluations) return;
    const delta = at(moves, 2 * now);
    for (let n = 0; n < x.length; n++) {
      x[n] = at(start, n) + delta * mixedAt(velocity, weights, n, x.length);
    }
    if (at(moves, 2 * now + 1) !== 0) start.set(x);
    if (!x.every(Number.isFinite)) progress[1] = Math.max(progress[1] ?? 0, evaluations - now);
    progress[0] = now + 1;
    if (now + 1 < evaluations) time.set(times.subarray((now + 1) * width, (now + 2) * width));
  };
}

function mixRows(binding: Parameters<Kernels["mixRows"]>[0]): Dispatch {
  const [rows, mixed] = [f32(binding.rows), f32(binding.mixed)];
  const { weights } = binding;
  assert(rows.length === weights.length * mixed.length, "there is one row for each weight");
  return () => {
    for (let n = 0; n < mixed.length; n++) mixed[n] = mixedAt(rows, weights, n, mixed.length);
  };
}

function pickToken(binding: Parameters<Kernels["pickToken"]>[0]): Dispatch {
  const logits = f32(binding.logits).subarray(0, binding.vocabularySize);
  const rules = u32(binding.rules);
  const [token, ids, count] = [i32(binding.token), i32(binding.ids), i32(binding.count)];
  const advance = binding.advance.map(i32);
  return () => {
    const picked = present(count[0], "count");
    const id = areBroken(logits, rules)
      ? BROKEN_TOKEN
      : pickTokenId(ruledLogits(logits, rules, binding.repetitionPenalty), binding, picked);
    token[0] = Math.max(0, id);
    if (picked < ids.length) ids[picked] = id;
    if (id >= 0) rules[id] = (rules[id] ?? 0) | SEEN_TOKEN;
    for (const counter of [count, ...advance]) {
      for (let n = 0; n < counter.length; n++) counter[n] = (counter[n] ?? 0) + 1;
    }
  };
}

function findBroken(binding: Parameters<Kernels["findBroken"]>[0]): Dispatch {
  const [values, report] = [f32(binding.values), u32(binding.report)];
  return () => {
    const broken = values.findIndex((value) => !Number.isFinite(value));
    report.set([values.length, broken < 0 ? 0 : values.length - broken]);
  };
}

function packPixels(binding: Parameters<Kernels["packPixels"]>[0]): Dispatch {
  const [planes, packed] = [f32(binding.image), u32(binding.packed)];
  const area = binding.width * binding.height;
  assert(planes.length >= 3 * area && packed.length >= area, "image and packed have all pixels");
  const offset = binding.rounding === "round" ? 0.5 : 0;
  const byteAt = (n: number): number =>
    Math.floor(Math.min(255, Math.max(0, ((at(planes, n) + 1) / 2) * 255 + offset)));
  const noteOf = (n: number): number => {
    const places = [n, n + area, n + 2 * area];
    if (!places.every((place) => Number.isFinite(planes[place]))) return BROKEN_PIXEL;
    const isSame = places.every((place) => Object.is(planes[place], planes[place - n]));
    return isSame ? SAME_PIXEL : 255;
  };
  return () => {
    for (let n = 0; n < area; n++) {
      const [r, g, b] = [byteAt(n), byteAt(n + area), byteAt(n + 2 * area)];
      packed[n] = (r | (g << 8) | (b << 16) | (noteOf(n) << 24)) >>> 0;
    }
  };
}

/**
 * True when a logit that may be picked is NaN or +Infinity, when none says more than never (-Infinity), and when
 * all are the same, which is what a device leaves that forgot them.
 */
function areBroken(logits: Float32Array, rules: Uint32Array): boolean {
  if (logits.length > 1 && logits.every((logit) => Object.is(logit, logits[0]))) return true;
  let mayPick = false;
  for (const [id, logit] of logits.entries()) {
    if ((rules[id] ?? 0) & FORBIDDEN_TOKEN) continue;
    if (!(logit < Infinity)) return true;
    mayPick ||= logit > -Infinity;
  }
  return !mayPick;
}

function mixedAt(
  rows: Float32Array,
  weights: readonly number[],
  n: number,
  length: number,
): number {
  return weights.reduce((sum, weight, row) => sum + weight * at(rows, row * length + n), 0);
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
