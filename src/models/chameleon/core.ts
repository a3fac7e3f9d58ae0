// Chameleon's core: a LLaMA whose queries and keys are normalised head by head before they are rotated. Text
// and pictures are ids of one table.
// https://github.com/huggingface/transformers/blob/v5.0.0/src/transformers/models/chameleon/modeling_chameleon.py#L140-L260
import { f32ToF16 } from "../../base/float16.ts";
import { plain } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead, type NormalizeHeads } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, mul } from "../../graph/ops/elementwise.ts";
import { expand, reshape, slice } from "../../graph/ops/movement.ts";
import { layerNormalization } from "../../graph/ops/reduction.ts";
import type { GraphOptions } from "../family.ts";
import type { CacheSize } from "../growing-core.ts";
import { wordEmbeddings } from "../llama-graphs.ts";
import type { ChameleonConfig } from "./config.ts";

// transformers writes it as a constant.
const HEAD_NORM_EPS = 1e-5;

/** Embeddings [1, S, hidden] behind a cache of one row -> logits f32 [1, 1, vocabulary] of the last one. */
export function prefillGraph(
  config: ChameleonConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "prefill", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = body(g, embeddings, config, { capacity, rows: 1 });
  g.output("logits", lmHead(g, slice(g, hidden, { axis: 1, start: -1 }), language));
  return g.build();
}

/** One token i32 [1, 1] for every row -> logits f32 [rows, 1, vocabulary]. Static shapes: it is captured. */
export function decodeGraph(
  config: ChameleonConfig,
  cache: CacheSize,
  options: GraphOptions,
): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "decode", ...options });
  const token = wordEmbeddings(g, g.input("token", "i32", [1, 1]), language);
  const shape = [cache.rows, 1, language.hiddenSize];
  const embeddings = cache.rows === 1 ? token : expand(g, token, shape);
  g.output("logits", lmHead(g, body(g, embeddings, config, cache), language));
  return g.build();
}

function body(
  g: GraphBuilder,
  embeddings: Value,
  { language, hasSharedHeadNorms }: ChameleonConfig,
  cache: CacheSize,
): Value {
  const variant = { normalizeHeads: headNorm(language.headDim, hasSharedHeadNorms) };
  return llamaBody(g, embeddings, language, { kind: "cached", ...cache }, variant);
}

/** A layer norm over each head, with a weight and a bias for every head of its own or for all of them. */
function headNorm(size: number, isShared: boolean): NormalizeHeads {
  return (g, x, { part, layer, heads }) => {
    const [rows, slots] = x.shape;
    const name = `model.layers.${layer}.self_attn.${part}_norm`;
    const shape = [rows ?? 1, slots ?? 1, heads, size];
    const normed = standardize(g, reshape(g, x, shape), size);
    const own = isShared ? [size] : [heads, size];
    const scaled = mul(g, normed, plain(g, `${name}.weight`, own));
    return reshape(g, add(g, scaled, plain(g, `${name}.bias`, own)), x.shape);
  };
}

/** (x - mean) / std over the last axis. */
function standardize(g: GraphBuilder, x: Value, size: number): Value {
  const filled = (value: number): Value => {
    const numbers = new Float32Array(size).fill(value);
    return g.constant(g.float, [size], g.float === "f16" ? f32ToF16(numbers) : numbers);
  };
  return layerNormalization(g, x, filled(1), filled(0), HEAD_NORM_EPS);
}
