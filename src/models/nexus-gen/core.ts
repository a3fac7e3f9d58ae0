// What Nexus-Gen's core has beside a language model's graphs: hidden states of a prefill, and the head that makes
// embeddings of a picture out of them.
import { linear, plain } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import { cast, gatherRows, slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { NexusGenConfig } from "./config.ts";

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

/** Hidden states [1, S, hidden] -> the picture's embeddings f32 [1, grid * grid, hidden], of the last slots. */
export function imagineGraph({ language, grid }: NexusGenConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "imagine", ...options });
  const hidden = g.input("hidden", g.float, [1, "S", language.hiddenSize]);
  const last = slice(g, hidden, { axis: 1, start: -(grid ** 2) });
  const out = linear(g, last, { weight: "vision_head.weight", out: language.hiddenSize });
  g.output("embeddings", cast(g, out, "f32"));
  return g.build();
}
