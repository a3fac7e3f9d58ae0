// Janus's core: one LLaMA with two heads. Ids of text and codes of pictures have embeddings of their own; the
// head decides whether words or codes come out.
import { biased, embedding, linear, plain } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { add, gelu } from "../../graph/ops/elementwise.ts";
import { cast, expand, slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { CacheSize } from "../growing-core.ts";
import { aligner } from "./aligner.ts";
import type { JanusConfig } from "./config.ts";

/** What comes out of the core: logits of words, or of codes. */
export type Head = "words" | "codes";

/** ids i32 [1, S] -> embeddings [1, S, hidden]. */
export function embedGraph({ language }: JanusConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  const ids = g.input("ids", "i32", [1, "S"]);
  g.output("embeddings", embedWords(g, ids, language));
  return g.build();
}

/**
 * Embeddings [1, S, hidden] after what a cache of one row holds -> logits f32 [1, 1, words or codes] of the
 * last position.
 */
export function prefillGraph(
  config: JanusConfig,
  head: Head,
  capacity: number,
  options: GraphOptions,
): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: `prefill for ${head}`, ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  const last = slice(g, hidden, { axis: 1, start: -1 }); // [1, 1, hidden]
  g.output("logits", logitsOf(g, last, config, head));
  return g.build();
}

/** One word or code i32 [1, 1] for every row -> logits f32 [rows, 1, words or codes]. It is captured. */
export function decodeGraph(
  config: JanusConfig,
  head: Head,
  { rows, capacity }: CacheSize,
  options: GraphOptions,
): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: `decode ${head}`, ...options });
  const token = g.input("token", "i32", [1, 1]);
  const one = head === "words" ? embedWords(g, token, language) : embedCodes(g, token, config);
  const embeddings = rows === 1 ? one : expand(g, one, [rows, 1, language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity, rows });
  g.output("logits", logitsOf(g, hidden, config, head));
  return g.build();
}

function embedWords(g: GraphBuilder, ids: Value, language: JanusConfig["language"]): Value {
  return embedding(g, ids, {
    weight: `${language.prefix}${language.body ?? "model."}embed_tokens.weight`,
    rows: language.vocabularySize,
    width: language.hiddenSize,
  });
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
function logitsOf(g: GraphBuilder, hidden: Value, config: JanusConfig, head: Head): Value {
  if (head === "words") return lmHead(g, hidden, config.language);
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
