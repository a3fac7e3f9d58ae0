// Functions of each element beyond arithmetic.
import type { GraphBuilder } from "../builder.ts";
import type { Value } from "../graph.ts";
import { one } from "./one.ts";

/** tanh x */
export function tanh(g: GraphBuilder, x: Value): Value {
  return one(g.node("Tanh", [x], [x]));
}

/** e^x */
export function exp(g: GraphBuilder, x: Value): Value {
  return one(g.node("Exp", [x], [x]));
}

/** The natural logarithm of x > 0. */
export function log(g: GraphBuilder, x: Value): Value {
  return one(g.node("Log", [x], [x]));
}
