// Binds pick-token.wgsl and advance.wgsl: the next token, and every length that grows with it.
import { assert } from "../../base/assert.ts";
import { elementCount } from "../../base/shape.ts";
import type { BoundKernel, KernelBinder } from "../kernel.ts";
import { seedWords } from "../random.ts";
import type { GpuTensor } from "../tensor.ts";
import advanceCode from "./advance.wgsl?raw";
import code from "./pick-token.wgsl?raw";

/** Tensors of {@link bindPickToken}. */
export interface PickTokenBinding {
  /** f32, at least vocabularySize elements */
  readonly logits: GpuTensor;
  readonly vocabularySize: number;
  /** u32 [vocabulary] */
  readonly rules: GpuTensor;
  /** 1 = none. */
  readonly repetitionPenalty: number;
  /** i32, one element */
  readonly token: GpuTensor;
  /** i32 [capacity] */
  readonly ids: GpuTensor;
  /** i32 [1] */
  readonly count: GpuTensor;
  /** i32 */
  readonly advance: readonly GpuTensor[];
  /** 0 = the largest logit. */
  readonly temperature: number;
  /** 0 = all. */
  readonly topK: number;
  /** 1 = all. */
  readonly topP: number;
  readonly seed: number;
}

/** One submit: the pick, then one dispatch for each tensor that advances. */
export function bindPickToken(binder: KernelBinder, binding: PickTokenBinding): () => void {
  const { advance } = binding;
  return binder.dispatch([
    bindPick(binder, binding),
    ...advance.map((tensor) => bindAdvance(binder, tensor)),
  ]);
}

function bindPick(binder: KernelBinder, binding: PickTokenBinding): BoundKernel {
  const { logits, vocabularySize, rules, repetitionPenalty, token, ids, count } = binding;
  const { temperature, topK, topP, seed } = binding;
  assert(
    vocabularySize > 0 && vocabularySize <= elementCount(logits.shape),
    "logits cover the vocabulary",
  );
  assert(elementCount(rules.shape) >= vocabularySize, "rules cover the vocabulary");
  const [seedLow, seedHigh] = seedWords(seed);
  return binder.bind(
    { name: "pick-token", code, entryPoint: temperature === 0 ? "greedy" : "sample" },
    {
      uniforms: [
        { u32: vocabularySize },
        { u32: elementCount(ids.shape) },
        { u32: topK },
        { u32: seedLow },
        { u32: seedHigh },
        { f32: temperature },
        { f32: topP },
        { f32: repetitionPenalty },
      ],
      tensors: { 1: logits, 2: token, 3: ids, 4: count, 5: rules },
      workgroups: 1,
    },
  );
}

function bindAdvance(binder: KernelBinder, tensor: GpuTensor): BoundKernel {
  return binder.bind(
    { name: "advance", code: advanceCode, entryPoint: "advance" },
    {
      uniforms: [{ u32: elementCount(tensor.shape) }],
      tensors: { 1: tensor },
      workgroups: 1,
    },
  );
}
