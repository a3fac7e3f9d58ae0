// onnxruntime's fused attention operators, as the WebGPU provider runs them.
import { assert, present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { add, blame } from "./elementwise.ts";
import { one } from "./one.ts";
import { reduceSum } from "./reduction.ts";
import { fixed } from "./sizes.ts";

const MICROSOFT = "com.microsoft";

/**
 * Rotates [rows, slots, heads * size] by position: halves of each head are the pair (rotate-half), or with
 * `interleaved` neighbours are.
 */
export function rotaryEmbedding(
  g: GraphBuilder,
  x: Value,
  positions: Value,
  tables: { readonly cos: Value; readonly sin: Value },
  heads: number,
  interleaved = false,
): Value {
  const half = fixed(tables.cos.shape[1]);
  assert(
    x.shape.at(-1) === heads * half * 2,
    `[${x.shape.join()}] has ${heads} heads of ${2 * half}`,
  );
  const inputs = [x, positions, tables.cos, tables.sin];
  const attributes = { num_heads: heads, ...(interleaved ? { interleaved: 1 } : {}) };
  return one(g.node("RotaryEmbedding", inputs, [x], attributes, MICROSOFT));
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
  const [rows, slots, width] = q.shape;
  const keys = k.shape[1];
  const sameKeys =
    k.shape.join() === v.shape.join() && k.shape.join() === [rows, keys, width].join();
  assert(
    sameKeys && fixed(width) % heads === 0,
    `${heads} heads of [${q.shape.join()}] over [${k.shape.join()}]`,
  );
  const biasShape = bias?.shape.join() ?? "none";
  assert([`${rows},1,${slots},${keys}`, "none"].includes(biasShape), `bias [${biasShape}]`);
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

/** Heads, and how scores are computed. */
export interface GroupQueryOptions {
  readonly heads: number;
  readonly kvHeads: number;
  /** Neighbours of a head are the rotated pairs, not its halves. Default false. */
  readonly interleaved?: boolean;
}

/**
 * Causal attention over a cache [rows, kvHeads, capacity, size] that it extends in place; rotates q and k by
 * their positions behind the cache. Several rows take one slot each (with a past and several slots the kernel
 * takes one row only). What is no number in q or k stays none: onnxruntime 1.30's kernel for several slots on the
 * CPU gives numbers for queries of NaN.
 *
 * @returns output, and the cache's key and value with the new slots
 */
export function groupQueryAttention(
  g: GraphBuilder,
  inputs: GroupQueryInputs,
  { heads, kvHeads, interleaved = false }: GroupQueryOptions,
): { readonly output: Value; readonly key: Value; readonly value: Value } {
  const { q, k, v, pastKey, pastValue, lastIndex, total, cos, sin } = inputs;
  const size = fixed(pastKey.shape[3]);
  const fits = q.shape[2] === heads * size && k.shape[2] === kvHeads * size;
  const isOneSlot = q.shape[1] === 1 && q.shape[0] === pastKey.shape[0];
  assert(
    (q.shape[0] === 1 || isOneSlot) && fits,
    `[${q.shape.join()}] over a cache [${pastKey.shape.join()}]`,
  );
  const [output, key, value] = g.node(
    "GroupQueryAttention",
    [q, k, v, pastKey, pastValue, lastIndex, total, cos, sin],
    [q, pastKey, pastValue],
    {
      num_heads: heads,
      kv_num_heads: kvHeads,
      do_rotary: 1,
      ...(interleaved ? { rotary_interleaved: 1 } : {}),
    },
    MICROSOFT,
  );
  const attended = present(output, "attention");
  return {
    output: q.shape[1] === 1 ? attended : blameSlots(g, attended, q, k),
    key: present(key, "key cache"),
    value: present(value, "value cache"),
  };
}

/** Attended values, and NaN in every slot whose query or key holds what is no number. */
function blameSlots(g: GraphBuilder, attended: Value, q: Value, k: Value): Value {
  const ofKeys = reduceSum(g, blame(g, k), [2]); // [rows, slots, 1]
  return add(g, add(g, attended, blame(g, q)), ofKeys);
}
