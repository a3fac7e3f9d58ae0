// A LLaMA core: RMSNorm, rotary attention, SwiGLU. The body is the same for every use; what differs is
// where keys and values of earlier slots come from.
// https://github.com/huggingface/transformers/blob/v4.46.3/src/transformers/models/llama/modeling_llama.py
import { present } from "../../base/assert.ts";
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { groupQueryAttention, multiHeadAttention, rotaryEmbedding } from "../ops/attention.ts";
import { add, mul, silu } from "../ops/elementwise.ts";
import { cast, concat, expand, reshape } from "../ops/movement.ts";
import { fixed } from "../ops/sizes.ts";
import { linear } from "./linear.ts";
import { rmsNorm } from "./norm.ts";
import { scaledFrequency, type RopeScaling } from "./rope-scaling.ts";

/** Sizes of a core and the prefix of its checkpoint names. */
export interface LlamaConfig {
  readonly prefix: string;
  /** What stands between the prefix and `layers` or `norm`; default `model.`. */
  readonly body?: string;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly intermediateSize: number;
  readonly vocabularySize: number;
  readonly rmsNormEps: number;
  readonly ropeTheta: number;
  /** Default: frequencies are not scaled. */
  readonly ropeScaling?: RopeScaling;
  readonly maxPositions: number;
  /** q, k and v have biases (Qwen2); default: none. */
  readonly qkvBias?: boolean;
  /** `qkv_proj` and `gate_up_proj` hold several projections, one after the other (Phi-3); default: no. */
  readonly fusedProjections?: boolean;
  /** Neighbours of a head are the rotated pairs, not its halves; default: no. Of the cached kind. */
  readonly interleaved?: boolean;
}

/** Changes q [rows, slots, heads * headDim] or k [.., kvHeads * headDim] before rotation: per-head norms. */
export type NormalizeHeads = (
  g: GraphBuilder,
  x: Value,
  place: { readonly part: "q" | "k"; readonly layer: number; readonly heads: number },
) => Value;

/** What a core does beside LLaMA's own. */
export interface LlamaVariant {
  readonly normalizeHeads?: NormalizeHeads;
}

/** Where the keys and values of earlier slots come from. */
export type LlamaAttention =
  /**
   * A cache that grows in place: inputs `past.{i}.key|value` [rows, kvHeads, capacity, headDim], `seqlens_k`
   * i32 [rows] and `total_sequence_length` i32 [1] (the longest row), outputs `present.{i}.key|value`.
   * Causal. Several rows (default 1) take one slot at a time: the kernel's own limit.
   */
  | { readonly kind: "cached"; readonly capacity: number; readonly rows?: number }
  /**
   * A fixed prefix: inputs `prefix.{i}.key|value` [rows, prefix, heads * headDim], `positions` i64
   * [rows, length], `bias` f32 [rows, 1, length, prefix + length]. Without a prefix the layers' own keys and
   * values are outputs `present.{i}.key|value`, rotated and repeated to all heads, to be the prefix of
   * later runs.
   */
  | {
      readonly kind: "prefix";
      readonly rows: number;
      readonly prefix: number;
      readonly length: number;
    };

/** Queries, keys and values of a layer -> what its slots attend to, [rows, slots, heads * headDim]. */
export type Attend = (layer: number, q: Value, k: Value, v: Value) => Value;

/**
 * Embeddings [rows, slots, hidden] -> hidden states behind the final norm, of the same shape.
 *
 * Rotation reads the inputs `rope.cos` and `rope.sin`, [slots, headDim / 2], by position (the cached kind: by
 * place in the cache), so that scaled and multi-axis rotations are a matter of the tables.
 */
export function llamaBody(
  g: GraphBuilder,
  embeddings: Value,
  config: LlamaConfig,
  attention: LlamaAttention,
  { normalizeHeads }: LlamaVariant = {},
): Value {
  const plainAttend =
    attention.kind === "cached"
      ? attendCache(g, config, attention)
      : attendPrefix(g, config, attention);
  const attend: Attend = (layer, q, k, v) => {
    if (normalizeHeads === undefined) return plainAttend(layer, q, k, v);
    const normedQ = normalizeHeads(g, q, { part: "q", layer, heads: config.heads });
    const normedK = normalizeHeads(g, k, { part: "k", layer, heads: config.kvHeads });
    return plainAttend(layer, normedQ, normedK, v);
  };
  const base = `${config.prefix}${config.body ?? "model."}`;
  let x = embeddings;
  for (let layer = 0; layer < config.layers; layer++) {
    x = llamaLayer(g, x, config, { name: `${base}layers.${layer}.`, layer, attend });
  }
  return rmsNorm(g, x, norm(config, `${base}norm.weight`));
}

/** One layer: its checkpoint names' prefix, its number, and where its keys and values come from. */
export interface LlamaLayer {
  readonly name: string;
  readonly layer: number;
  readonly attend: Attend;
}

/** One layer of a core over x [rows, slots, hidden], for those who stack their own. */
export function llamaLayer(
  g: GraphBuilder,
  x: Value,
  config: LlamaConfig,
  { name, layer, attend }: LlamaLayer,
): Value {
  const normed = rmsNorm(g, x, norm(config, `${name}input_layernorm.weight`));
  const seen = add(g, x, selfAttention(g, normed, config, `${name}self_attn.`, layer, attend));
  const behind = rmsNorm(g, seen, norm(config, `${name}post_attention_layernorm.weight`));
  return add(g, seen, swiglu(g, behind, config, `${name}mlp.`));
}

/**
 * Attention of every slot to every slot, without a cache: inputs `positions` i64 [1, length] and the tables.
 */
export function attendWhole(g: GraphBuilder, config: LlamaConfig, length: number): Attend {
  const positions = g.input("positions", "i64", [1, length]);
  const tables = ropeInputs(g, config, "slots");
  return (_layer, q, k, v) => {
    const keys = rotaryEmbedding(g, k, positions, tables, config.kvHeads);
    const inputs = {
      q: rotaryEmbedding(g, q, positions, tables, config.heads),
      k: repeatHeads(g, keys, config),
      v: repeatHeads(g, v, config),
    };
    return multiHeadAttention(g, inputs, config.heads);
  };
}

/** Hidden states [..., hidden] -> logits f32 [..., vocabulary]. */
export function lmHead(g: GraphBuilder, hidden: Value, config: LlamaConfig): Value {
  const head = { weight: `${config.prefix}lm_head.weight`, out: config.vocabularySize };
  return cast(g, linear(g, hidden, head), "f32");
}

/** cos and sin of every position's angles, [positions, headDim / 2] each. */
export function ropeTables(
  { headDim, ropeTheta, ropeScaling }: Pick<LlamaConfig, "headDim" | "ropeTheta" | "ropeScaling">,
  positions: number,
): { readonly cos: Float32Array<ArrayBuffer>; readonly sin: Float32Array<ArrayBuffer> } {
  const half = headDim / 2;
  // The reference multiplies in f32: angle = position * f32(theta^(-2i/size)).
  const frequency = Float32Array.from({ length: half }, (_, i) => {
    const plain = 1 / ropeTheta ** ((2 * i) / headDim);
    return ropeScaling === undefined ? plain : scaledFrequency(plain, ropeScaling);
  });
  const angles = Float32Array.from(
    { length: positions * half },
    (_, at) => Math.floor(at / half) * (frequency[at % half] ?? 0),
  );
  return { cos: angles.map(Math.cos), sin: angles.map(Math.sin) };
}

function selfAttention(
  g: GraphBuilder,
  x: Value,
  config: LlamaConfig,
  name: string,
  layer: number,
  attend: Attend,
): Value {
  const { heads, kvHeads, headDim, hiddenSize, qkvBias = false, fusedProjections } = config;
  const parts = { q: heads * headDim, k: kvHeads * headDim, v: kvHeads * headDim };
  const [q, k, v] = fusedProjections
    ? projections(g, x, `${name}qkv_proj.weight`, Object.values(parts))
    : Object.entries(parts).map(([part, out]) => {
        const bias = qkvBias ? { bias: `${name}${part}_proj.bias` } : {};
        return linear(g, x, { weight: `${name}${part}_proj.weight`, out, ...bias });
      });
  const attended = attend(layer, present(q, "q"), present(k, "k"), present(v, "v"));
  return linear(g, attended, { weight: `${name}o_proj.weight`, out: hiddenSize });
}

/** The parts of a weight that holds several projections, one below the other. */
function projections(g: GraphBuilder, x: Value, weight: string, outs: readonly number[]): Value[] {
  const total = outs.reduce((sum, out) => sum + out, 0);
  const sourceShape = [total, fixed(x.shape.at(-1))];
  let start = 0;
  return outs.map((out) => {
    const rows = [start, start + out] as const;
    start += out;
    return linear(g, x, { weight, out, rows, sourceShape });
  });
}

function swiglu(g: GraphBuilder, x: Value, config: LlamaConfig, name: string): Value {
  const out = config.intermediateSize;
  const [gate, up] = config.fusedProjections
    ? projections(g, x, `${name}gate_up_proj.weight`, [out, out])
    : ["gate", "up"].map((part) => linear(g, x, { weight: `${name}${part}_proj.weight`, out }));
  const inner = mul(g, silu(g, present(gate, "gate")), present(up, "up"));
  return linear(g, inner, { weight: `${name}down_proj.weight`, out: config.hiddenSize });
}

function attendCache(
  g: GraphBuilder,
  config: LlamaConfig,
  { capacity, rows = 1 }: Extract<LlamaAttention, { kind: "cached" }>,
): Attend {
  const lastIndex = g.input("seqlens_k", "i32", [rows]);
  const total = g.input("total_sequence_length", "i32", [1]);
  const tables = ropeInputs(g, config, "cacheSlots");
  const shape = [rows, config.kvHeads, capacity, config.headDim];
  return (layer, q, k, v) => {
    const pastKey = g.input(`past.${layer}.key`, g.float, shape);
    const pastValue = g.input(`past.${layer}.value`, g.float, shape);
    const inputs = { q, k, v, pastKey, pastValue, lastIndex, total, ...tables };
    const { output, key, value } = groupQueryAttention(g, inputs, config);
    g.output(`present.${layer}.key`, key);
    g.output(`present.${layer}.value`, value);
    return output;
  };
}

function attendPrefix(
  g: GraphBuilder,
  config: LlamaConfig,
  { rows, prefix, length }: Extract<LlamaAttention, { kind: "prefix" }>,
): Attend {
  const { heads, kvHeads, headDim } = config;
  const positions = g.input("positions", "i64", [rows, length]);
  const bias = cast(g, g.input("bias", "f32", [rows, 1, length, prefix + length]), g.float);
  const tables = ropeInputs(g, config, "slots");
  const past = (name: string): Value => g.input(name, g.float, [rows, prefix, heads * headDim]);
  return (layer, newQueries, newKeys, newValues) => {
    const q = rotaryEmbedding(g, newQueries, positions, tables, heads);
    const k = repeatHeads(g, rotaryEmbedding(g, newKeys, positions, tables, kvHeads), config);
    const v = repeatHeads(g, newValues, config);
    if (prefix === 0) {
      g.output(`present.${layer}.key`, k);
      g.output(`present.${layer}.value`, v);
      return multiHeadAttention(g, { q, k, v, bias }, heads);
    }
    // Not as the operator's own past: it ignores one unless the present is an output too.
    const keys = concat(g, [past(`prefix.${layer}.key`), k], 1);
    const values = concat(g, [past(`prefix.${layer}.value`), v], 1);
    return multiHeadAttention(g, { q, k: keys, v: values, bias }, heads);
  };
}

/** [rows, slots, kvHeads * headDim] -> [rows, slots, heads * headDim]: each head for its whole group. */
function repeatHeads(g: GraphBuilder, x: Value, { heads, kvHeads, headDim }: LlamaConfig): Value {
  if (heads === kvHeads) return x;
  const [rows, slots] = [fixed(x.shape[0]), fixed(x.shape[1])];
  const single = reshape(g, x, [rows, slots, kvHeads, 1, headDim]);
  const group = expand(g, single, [rows, slots, kvHeads, heads / kvHeads, headDim]);
  return reshape(g, group, [rows, slots, heads * headDim]);
}

function ropeInputs(g: GraphBuilder, { headDim }: LlamaConfig, slots: string) {
  const shape = [slots, headDim / 2];
  return { cos: g.input("rope.cos", g.float, shape), sin: g.input("rope.sin", g.float, shape) };
}

function norm(config: LlamaConfig, weight: string): { weight: string; eps: number } {
  return { weight, eps: config.rmsNormEps };
}
