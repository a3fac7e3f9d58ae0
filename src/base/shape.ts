// Shapes are plain arrays of non-negative integers, outermost dimension first.

/** Sizes of a tensor's dimensions, outermost first. */
export type Shape = readonly number[];

/** Product of all dimensions; 1 for a scalar. */
export function elementCount(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** True when both shapes have the same dimensions. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
