// Most operations have one output.
import { present } from "../../base/assert.ts";
import type { Value } from "../graph.ts";

/** The only value of a node's outputs. */
export function one(values: readonly Value[]): Value {
  return present(values[0], "output of a node");
}
