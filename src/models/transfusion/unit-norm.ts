// The library's norms store what is added to one.
import { plain } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { add } from "../../graph/ops/elementwise.ts";
import { simplifiedLayerNorm } from "../../graph/ops/reduction.ts";
import { fixed } from "../../graph/ops/sizes.ts";

/** The library bounds the norm of a vector by 1e-12 from below; this bounds its mean square. */
export const RMS_EPS = 1e-24;

/** x / rms(x) * (gamma + 1) over the last axis. */
export function unitRms(g: GraphBuilder, x: Value, name: string): Value {
  const gamma = onePlus(g, plain(g, name, [fixed(x.shape.at(-1))]));
  return simplifiedLayerNorm(g, x, gamma, RMS_EPS);
}

/** x + 1 */
export function onePlus(g: GraphBuilder, x: Value): Value {
  return add(g, x, g.scalar(1));
}
