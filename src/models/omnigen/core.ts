// OmniGen's core over a prompt: the pass whose keys and values the velocity field reads.
import { llamaBody } from "../../graph/blocks/llama.ts";
import { GraphBuilder } from "../../graph/builder.ts";
import type { Graph } from "../../graph/graph.ts";
import type { GraphOptions } from "../family.ts";
import type { OmniGenConfig } from "./config.ts";

/**
 * Prompts [rows, length, hidden] -> keys and values of every layer, [rows, length, heads * head size].
 * Rows shorter than `length` are padded at the end; the bias hides the padding and lets a picture see itself.
 */
export function promptGraph(
  { language }: OmniGenConfig,
  rows: number,
  length: number,
  options: GraphOptions,
): Graph {
  const g = new GraphBuilder({ name: "prompt", ...options });
  const embeddings = g.input("embeddings", g.float, [rows, length, language.hiddenSize]);
  llamaBody(g, embeddings, language, { kind: "prefix", rows, prefix: 0, length });
  return g.build();
}
