// Janus's core where it draws: the LLaMA that writes, with a head of codes. Codes of pictures have embeddings of
// their own.
import { biased, embedding, linear, plain } from "../../graph/blocks/linear.ts";
import { llamaBody } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, gelu } from "../../graph/ops/elementwise.ts";
import { cast, expand, slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { CacheSize } from "../growing-core.ts";
import { aligner } from "./aligner.ts";
import type { JanusConfig } from "./config.ts";

/**
 * Embeddings [1, S, hidden] after what a cache of one row holds -> logits f32 [1, 1, codes] of the last
 * position.
 */
export function prefillGraph(config: JanusConfig, capacity: number, options: GraphOptions): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "prefill for codes", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  const last = slice(g, hidden, { axis: 1, start: -1 }); // [1, 1, hidden]
  g.output("logits", logitsOf(g, last, config));
  return g.build();
}

/** One code i32 [1, 1] for every row -> logits f32 [rows, 1, codes]. It is captured. */
export function decodeGraph(
  config: JanusConfig,
  { rows, capacity }: CacheSize,
  options: GraphOptions,
): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "decode codes", ...options });
  const token = g.input("token", "i32", [1, 1]);
  const one = embedCodes(g, token, config);
  const embeddings = rows === 1 ? one : expand(g, one, [rows, 1, language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity, rows });
  g.output("logits", logitsOf(g, hidden, config));
  return g.build();
}

/** The embedding of a code for the core has the width of a codebook vector but is another table. */
function embedCodes(g: GraphBuilder, codes: Value, config: JanusConfig): Value {
  const { names, codebook, generationAlignerLayers, language } = config;
  const vectors = embedding(g, codes, {
    weight: names.generationEmbedding,
    rows: codebook.codes,
    width: codebook.width,
  });
  const layers = Array.from({ length: generationAlignerLayers }, (_, layer) =>
    names.generationAligner(layer),
  );
  return aligner(g, vectors, layers, language.hiddenSize);
}

// Guidance multiplies what quantization does to the head of codes: it is stored in q8 at least.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/modeling_vlm.py#L36-L51
function logitsOf(g: GraphBuilder, hidden: Value, config: JanusConfig): Value {
  const { names, headWidth, codebook } = config;
  const [project, toCodes] = names.generationHead;
  const inner = gelu(g, linear(g, hidden, { ...biased(project, headWidth), keepAtLeast: "q8" }));
  const out = codebook.codes;
  const logits = linear(g, inner, { weight: `${toCodes}.weight`, out, keepAtLeast: "q8" });
  // With a bias of one axis onnxruntime makes a Gemm and a Reshape of these two, and a Reshape that writes an
  // output is a copy, which captured runs do not repeat.
  const bias = plain(g, `${toCodes}.bias`, [1, 1, out]);
  return cast(g, add(g, logits, bias), "f32");
}
