// Pisces' core where it draws: prefill and decode of vectors over a key/value cache that is updated in place.
import { linear } from "../../graph/blocks/linear.ts";
import { llamaBody } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph, Value } from "../../graph/graph.ts";
import { slice } from "../../graph/ops/movement.ts";
import type { GraphOptions } from "../family.ts";
import type { PiscesConfig } from "./config.ts";
import { projector } from "./projector.ts";

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
