import { expect, test } from "vitest";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import type { Value } from "../../../src/graph/graph.ts";
import { add, mul } from "../../../src/graph/ops/elementwise.ts";
import { concat, reshape, slice } from "../../../src/graph/ops/movement.ts";

function build(make: (g: GraphBuilder, x: Value) => Value, shape: (number | string)[] = [2, 8]) {
  const g = new GraphBuilder({ name: "g", float: "f32", quantization: "f32" });
  g.output("y", make(g, g.input("x", "f32", shape)));
  return g.build().results;
}

test("counts what is read later, and not what nobody reads any more", () => {
  // 64 bytes each: a and b while b is made, b and c while c is made.
  const results = build((g, x) => {
    const a = mul(g, x, x);
    const b = mul(g, a, a);
    return mul(g, b, b);
  });
  expect(results).toEqual({ largestBytes: 64, peakBytes: 128 });
});

test("keeps what a later node reads", () => {
  const results = build((g, x) => {
    const a = mul(g, x, x);
    const b = mul(g, a, a);
    return add(g, mul(g, b, b), a); // a, b and b * b
  });
  expect(results).toEqual({ largestBytes: 64, peakBytes: 192 });
});

test("takes a view for what it shows", () => {
  const results = build((g, x) => {
    const a = mul(g, x, x);
    const view = reshape(g, reshape(g, a, [16]), [4, 4]);
    return mul(g, view, view);
  });
  expect(results).toEqual({ largestBytes: 64, peakBytes: 128 });
});

test("counts a result by its own size, and a named dimension as 1", () => {
  const wide = build((g, x) => slice(g, concat(g, [x, x, x], 0), { axis: 0, start: -1 }));
  expect(wide).toEqual({ largestBytes: 192, peakBytes: 192 + 32 });
  expect(build((g, x) => mul(g, x, x), ["S", 8])).toEqual({ largestBytes: 32, peakBytes: 32 });
});

test("leaves out caches, which their caller holds", () => {
  const g = new GraphBuilder({ name: "g", float: "f32", quantization: "f32" });
  const x = g.input("x", "f32", [2, 8]);
  g.output("present.0.key", mul(g, x, x));
  g.output("y", mul(g, x, x));
  expect(g.build().results).toEqual({ largestBytes: 64, peakBytes: 64 });
});
