// Sizes that an operation must know when the graph is built.
import { assert } from "../../base/assert.ts";
import type { Dimension, Value } from "../graph.ts";

/** The size of a dimension that is not a named one. */
export function fixed(size: Dimension | undefined): number {
  assert(typeof size === "number", `size ${size} is known when the graph is built`);
  return size;
}

/** Sizes of [n, channels, height, width], all known. */
export function imageSizes({ shape }: Value): [number, number, number, number] {
  assert(shape.length === 4, `[${shape.join()}] is [n, channels, height, width]`);
  const [rows, channels, height, width] = shape;
  return [fixed(rows), fixed(channels), fixed(height), fixed(width)];
}
