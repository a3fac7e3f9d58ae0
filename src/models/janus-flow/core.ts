// JanusFlow's core over a prompt: the pass whose keys and values the velocity field reads.
import { llamaBody } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import type { GraphOptions } from "../family.ts";
import { wordEmbeddings } from "../llama-graphs.ts";
import type { JanusFlowConfig } from "./config.ts";

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
  const embeddings = wordEmbeddings(g, ids, language);
  llamaBody(g, embeddings, language, { kind: "prefix", rows, prefix: 0, length });
  return g.build();
}
