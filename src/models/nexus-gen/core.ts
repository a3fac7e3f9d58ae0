// Nexus-Gen's core: ids -> embeddings, prefill and decode over an in-place cache, and the head that makes
// embeddings of a picture out of hidden states.
import { embedding, linear, plain } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { cast, gatherRows, slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { NexusGenConfig } from "./config.ts";

/** ids i32 [1, S] -> embeddings [1, S, hidden]. */
export function embedGraph(config: NexusGenConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  const ids = g.input("ids", "i32", [1, "S"]);
  g.output("embeddings", embedTokens(g, ids, config));
  return g.build();
}

/**
 * Numbers of image slots i32 [1, S] -> what the core reads there, [1, S, hidden]; the same for every picture.
 * V1 has no such table and reads the image token's own embedding.
 */
export function slotGraph(config: NexusGenConfig, options: GraphOptions): Graph {
  const { hiddenSize } = config.language;
  const g = new GraphBuilder({ name: "slots", ...options });
  const slots = g.input("ids", "i32", [1, "S"]);
  const table = plain(g, "image_prefill_embeds.weight", [config.grid ** 2, hiddenSize]);
  g.output("embeddings", gatherRows(g, table, slots));
  return g.build();
}

/**
 * Embeddings [1, S, hidden] behind what the cache already holds -> logits f32 [1, 1, vocabulary] of the last
 * slot, and hidden states [1, S, hidden] of all. The cache is extended in place.
 */
export function prefillGraph(
  { language }: NexusGenConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "prefill", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, slice(g, hidden, { axis: 1, start: -1 }), language));
  g.output("hidden", hidden);
  return g.build();
}

/** One token i32 [1, 1] -> logits f32 [1, 1, vocabulary]. Static shapes: this graph is captured. */
export function decodeGraph(
  config: NexusGenConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "decode", ...options });
  const token = g.input("token", "i32", [1, 1]);
  const embeddings = embedTokens(g, token, config);
  const hidden = llamaBody(g, embeddings, config.language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, hidden, config.language));
  return g.build();
}

/** Hidden states [1, S, hidden] -> the picture's embeddings f32 [1, grid * grid, hidden], of the last slots. */
export function imagineGraph({ language, grid }: NexusGenConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "imagine", ...options });
  const hidden = g.input("hidden", g.float, [1, "S", language.hiddenSize]);
  const last = slice(g, hidden, { axis: 1, start: -(grid ** 2) });
  const out = linear(g, last, { weight: "vision_head.weight", out: language.hiddenSize });
  g.output("embeddings", cast(g, out, "f32"));
  return g.build();
}

function embedTokens(g: GraphBuilder, ids: Value, { language }: NexusGenConfig): Value {
  return embedding(g, ids, {
    weight: `${language.prefix}model.embed_tokens.weight`,
    rows: language.vocabularySize,
    width: language.hiddenSize,
  });
}
