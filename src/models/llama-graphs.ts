// Graphs of a LLaMA core as a language model, which many families have in common: ids -> embeddings, and
// embeddings or a token -> logits over a key/value cache that is updated in place.
import { embedding } from "../graph/blocks/linear.ts";
import { llamaBody, lmHead, type LlamaConfig } from "../graph/blocks/llama.ts";
import { GraphBuilder } from "../graph/builder.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { slice } from "../graph/ops/movement.ts";
import type { GraphOptions } from "./family.ts";

interface WithLanguage {
  readonly language: LlamaConfig;
}

/** ids i32 [...] -> rows of the core's table [..., hidden]. */
export function wordEmbeddings(g: GraphBuilder, ids: Value, language: LlamaConfig): Value {
  return embedding(g, ids, {
    weight: `${language.prefix}${language.body ?? "model."}embed_tokens.weight`,
    rows: language.vocabularySize,
    width: language.hiddenSize,
  });
}

/** `ids` i32 [1, S] -> `embeddings` [1, S, hidden]. */
export function embedGraph({ language }: WithLanguage, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  g.output("embeddings", wordEmbeddings(g, g.input("ids", "i32", [1, "S"]), language));
  return g.build();
}

/** `embeddings` [1, S, hidden] behind what the cache holds -> `logits` f32 [1, 1, vocabulary] of the last slot. */
export function prefillGraph(
  { language }: WithLanguage,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "prefill", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  const last = slice(g, hidden, { axis: 1, start: -1 }); // [1, 1, hidden]
  g.output("logits", lmHead(g, last, language));
  return g.build();
}

/** One `token` i32 [1, 1] -> `logits` f32 [1, 1, vocabulary]. Static shapes: this graph is captured. */
export function decodeGraph(
  { language }: WithLanguage,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "decode", ...options });
  const embeddings = wordEmbeddings(g, g.input("token", "i32", [1, 1]), language);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, hidden, language));
  return g.build();
}
