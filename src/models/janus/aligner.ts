// The way of features into the core: linear layers with a GELU between them.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/projector.py#L38-L44
import { biased, linear } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { gelu } from "../../graph/ops/elementwise.ts";

/** x [..., in] -> [..., out]. @param layers - names of the linear layers, each of width `out` */
export function aligner(g: GraphBuilder, x: Value, layers: readonly string[], out: number): Value {
  return layers.reduce(
    (y, name, index) => linear(g, index === 0 ? y : gelu(g, y), biased(name, out)),
    x,
  );
}
