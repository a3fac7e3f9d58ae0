import { expect, test } from "vitest";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Value } from "../../../../src/graph/graph.ts";
import { exp, log, tanh } from "../../../../src/graph/ops/transcendental.ts";
import "../../../support/allclose.ts";
import { waves } from "../../../support/numbers.ts";
import { evaluate } from "../../../support/run-graph.ts";

const X = waves(12).map((x) => Math.abs(x) * 3 + 0.1);

test.each<[string, (g: GraphBuilder, x: Value) => Value, (x: number) => number]>([
  ["tanh", tanh, Math.tanh],
  ["exp", exp, Math.exp],
  ["log", log, Math.log],
])("%s", async (_, operation, expected) => {
  const y = await evaluate((g) => operation(g, g.input("x", "f32", [3, 4])), { inputs: { x: X } });
  expect(y.shape).toEqual([3, 4]);
  expect(y.values).toBeAllclose(X.map(expected), { rtol: 1e-5, atol: 1e-6 });
});
