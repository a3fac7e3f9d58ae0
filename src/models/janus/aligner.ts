// The way of features into the core: linear layers with a GELU between them.
// https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/projector.py#L38-L44
import { QUANTIZATION_BLOCK } from "../../base/dtype.ts";
import { biased, linear } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { gelu } from "../../graph/ops/elementwise.ts";
import { fixed } from "../../graph/ops/sizes.ts";

/**
 * x [..., in] -> [..., out]. Inputs narrower than a block of quantized values (a code has 8 numbers) keep their
 * weights in floats: they are few and every picked code passes through them.
 *
 * @param layers - names of the linear layers, each of width `out`
 */
export function aligner(g: GraphBuilder, x: Value, layers: readonly string[], out: number): Value {
  return layers.reduce((y, name, index) => {
    const isNarrow = fixed(y.shape.at(-1)) < QUANTIZATION_BLOCK;
    const layer = { ...biased(name, out), ...(isNarrow ? { keepAtLeast: "f16" as const } : {}) };
    return linear(g, index === 0 ? y : gelu(g, y), layer);
  }, x);
}
