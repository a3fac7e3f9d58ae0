// onnxruntime's fused attention operators, as the WebGPU provider runs them.
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";

const MICROSOFT = "com.microsoft";

/** Rotates [rows, slots, heads * size] by position: halves of each head are the pair (rotate-half). */
export function rotaryEmbedding(
  g: GraphBuilder,
  x: Value,
  positions: Value,
  tables: { readonly cos: Value; readonly sin: Value },
  heads: number,
): Value {
  const inputs = [x, positions, tables.cos, tables.sin];
  return one(g.node("RotaryEmbedding", inputs, [x], { num_heads: heads }, MICROSOFT));
}

/**
 * softmax(q k' / sqrt(size) + bias) v for q [rows, slots, heads * size], k and v [rows, keys, heads * size],
 * bias [rows, 1, slots, keys] or none.
 */
export function multiHeadAttention(
  g: GraphBuilder,
  {
    q,
    k,
    v,
    bias,
  }: { readonly q: Value; readonly k: Value; readonly v: Value; readonly bias?: Value },
  heads: number,
): Value {
  const inputs = [q, k, v, undefined, undefined, bias];
  while (inputs.at(-1) === undefined) inputs.pop();
  return one(g.node("MultiHeadAttention", inputs, [q], { num_heads: heads }, MICROSOFT));
}

/** Inputs of {@link groupQueryAttention}. */
export interface GroupQueryInputs {
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  readonly pastKey: Value;
  readonly pastValue: Value;
  readonly lastIndex: Value;
  readonly total: Value;
  readonly cos: Value;
  readonly sin: Value;
}

/**
 * Causal attention over a cache [1, kvHeads, capacity, size] that it extends in place; rotates q and k by
 * their positions behind the cache. Batch 1 (with a past and several slots the kernel takes no other).
 *
 * @returns output, and the cache's key and value with the new slots
 */
export function groupQueryAttention(
  g: GraphBuilder,
  inputs: GroupQueryInputs,
  { heads, kvHeads }: { readonly heads: number; readonly kvHeads: number },
): { readonly output: Value; readonly key: Value; readonly value: Value } {
  const { q, k, v, pastKey, pastValue, lastIndex, total, cos, sin } = inputs;
  const [output, key, value] = g.node(
    "GroupQueryAttention",
    [q, k, v, pastKey, pastValue, lastIndex, total, cos, sin],
    [q, pastKey, pastValue],
    { num_heads: heads, kv_num_heads: kvHeads, do_rotary: 1 },
    MICROSOFT,
  );
  return {
    output: present(output, "attention"),
    key: present(key, "key cache"),
    value: present(value, "value cache"),
  };
}
