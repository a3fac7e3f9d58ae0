// Pisces' core: ids -> embeddings; prefill and decode of text; prefill and decode of vectors. All over a
// key/value cache that is updated in place.
import { embedding, linear } from "../../graph/blocks/linear.ts";
import { llamaBody, lmHead } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { PiscesConfig } from "./config.ts";
import { projector } from "./projector.ts";

/** ids i32 [1, S] -> embeddings [1, S, hidden]. */
export function embedGraph(config: PiscesConfig, options: GraphOptions): Graph {
  const g = new GraphBuilder({ name: "embed", ...options });
  g.output("embeddings", embedTokens(g, g.input("ids", "i32", [1, "S"]), config));
  return g.build();
}

/** Embeddings [1, S, hidden] -> logits f32 [1, 1, vocabulary] of the last position. */
export function prefillGraph(
  { language }: PiscesConfig,
  capacity: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "prefill", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, slice(g, hidden, { axis: 1, start: -1 }), language));
  return g.build();
}

/** One token i32 [1, 1] -> logits f32 [1, 1, vocabulary]. Static shapes: this graph is captured. */
export function decodeGraph(config: PiscesConfig, capacity: number, options: GraphOptions): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "decode", ...options });
  const embeddings = embedTokens(g, g.input("token", "i32", [1, 1]), config);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("logits", lmHead(g, hidden, language));
  return g.build();
}

/** Embeddings [1, S, hidden] of a caption and image start -> the first vector [1, 1, vector size]; no text head. */
export function captionGraph(config: PiscesConfig, capacity: number, options: GraphOptions): Graph {
  const { language } = config;
  const g = new GraphBuilder({ name: "caption", ...options });
  const embeddings = g.input("embeddings", g.float, [1, "S", language.hiddenSize]);
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("vector", vectorHead(g, slice(g, hidden, { axis: 1, start: -1 }), config));
  return g.build();
}

/**
 * One vector, `previous` [1, 1, vector size] -> the vector that follows, of the same shape. Static shapes: this
 * graph is captured.
 *
 * @see https://github.com/baaivision/Emu/blob/main/Emu2/emu/modeling_emu.py
 */
export function imagineGraph(config: PiscesConfig, capacity: number, options: GraphOptions): Graph {
  const { language, vectorSize } = config;
  const g = new GraphBuilder({ name: "imagine", ...options });
  const previous = g.input("previous", g.float, [1, 1, vectorSize]);
  const name = "generation_projector";
  const embeddings = projector(g, previous, { name, hiddenSize: language.hiddenSize });
  const hidden = llamaBody(g, embeddings, language, { kind: "cached", capacity });
  g.output("vector", vectorHead(g, hidden, config));
  return g.build();
}

function vectorHead(g: GraphBuilder, hidden: Value, { vectorSize }: PiscesConfig): Value {
  return linear(g, hidden, {
    weight: "generation_head.weight",
    out: vectorSize,
    keepAtLeast: "f16",
  });
}

function embedTokens(g: GraphBuilder, ids: Value, { language }: PiscesConfig): Value {
  return embedding(g, ids, {
    weight: `${language.prefix}model.embed_tokens.weight`,
    rows: language.vocabularySize,
    width: language.hiddenSize,
  });
}
