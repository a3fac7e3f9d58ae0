// JanusFlow's core as a language model: ids -> embeddings, prefill and decode over an in-place key/value
// cache, and the prompt pass whose keys and values the velocity field reads.
import { embedding } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { JanusFlowConfig } from "./config.ts";

/** ids i32 [1, S] -> embeddings [1, S, hidden]. */
export function embedGraph({ language }: JanusFlowConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  const ids = g.input("ids", "i32", [1, "S"]);
  g.output("embeddings", embedTokens(g, ids, language));
  return g.build();
}

/**
 * Embeddings [1, S, hidden] after what the cache already holds -> logits f32 [1, 1, vocabulary] of the
 * last position. Keys and values are written into the cache in place.
 */
export function prefillGraph(
  { language }: JanusFlowConfig,
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

/** One token i32 [1, 1] -> logits f32 [1, 1, vocabulary]. Static shapes: this graph is captured. */
export function decodeGraph(
  { language }: JanusFlowConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "decode", ...options });
  const token = g.input("token", "i32", [1, 1]);
  const embeddings = embedTokens(g, token, language);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, hidden, language));
  return g.build();
}

/**
 * Prompts i32 [rows, length] -> keys and values of every layer, [rows, length, heads * head size].
 * Rows shorter than `length` are padded at the end; the bias hides the padding.
 */
export function promptGraph(
  { language }: JanusFlowConfig,
  rows: number,
  length: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "prompt", ...options });
  const ids = g.input("ids", "i32", [rows, length]);
  const embeddings = embedTokens(g, ids, language);
  llamaBody(g, embeddings, language, { kind: "prefix", rows, prefix: 0, length });
  return g.build();
}

function embedTokens(g: GraphBuilder, ids: Value, language: JanusFlowConfig["language"]): Value {
  return embedding(g, ids, {
    weight: `${language.prefix}model.embed_tokens.weight`,
    rows: language.vocabularySize,
    width: language.hiddenSize,
  });
}
