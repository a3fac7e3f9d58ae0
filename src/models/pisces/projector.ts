// Two linear layers with an exact GELU between: from the tower's space and from that of drawn vectors into the
// core's. They are two projectors with weights of their own.
import { biased, linear } from "../../graph/blocks/linear.ts";
import type { GraphBuilder } from "../../graph/builder.ts";
import type { Value } from "../../graph/graph.ts";
import { gelu } from "../../graph/ops/elementwise.ts";

/** Sizes of a projector and its checkpoint name. */
export interface ProjectorConfig {
  readonly name: string;
  /** Width of the core. */
  readonly hiddenSize: number;
}

/** x [..., width] -> [..., hidden] */
export function projector(g: GraphBuilder, x: Value, { name, hiddenSize }: ProjectorConfig): Value {
  // Vectors go around in the loop of a drawing, and errors with them: never coarser than f16.
  const layer = (index: number) => ({
    ...biased(`${name}.linear_${index}`, hiddenSize),
    keepAtLeast: "f16" as const,
  });
  return linear(g, gelu(g, linear(g, x, layer(1))), layer(2));
}
