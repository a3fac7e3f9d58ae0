import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../src/graph/builder.ts";
import { linear } from "../../../src/graph/blocks/linear.ts";
import { add } from "../../../src/graph/ops/elementwise.ts";
import { decodeGraph } from "../../support/decode-graph.ts";

function builder(quantization: "f32" | "f16" | "q4" = "f32", companion = ""): GraphBuilder {
  return new GraphBuilder({ name: "test", float: "f32", quantization, companion });
}

describe("GraphBuilder", () => {
  test("names every value once", () => {
    const g = builder();
    const x = g.input("x", "f32", [2]);
    const values = [
      add(g, x, x),
      add(g, x, x),
      g.scalar(1),
      g.constant("i32", [1], Int32Array.of(1)),
    ];
    expect(new Set(values.map(({ name }) => name)).size).toBe(values.length);
  });

  test("lists inputs and outputs in the order of their declaration, weights apart", () => {
    const g = builder();
    const b = g.input("b", "f32", [1, 4]);
    const a = g.input("a", "f32", [1, 4]);
    g.output("z", add(g, linear(g, a, { weight: "w", out: 4 }), b));
    g.output("y", add(g, a, b));
    const graph = g.build();
    expect(graph.inputs.map(({ name }) => name)).toEqual(["b", "a"]);
    expect(graph.outputs.map(({ name }) => name)).toEqual(["z", "y"]);
    expect(graph.weightParts.map(({ name }) => name)).toEqual(["w"]);
    expect(decodeGraph(graph).input.map(({ name }) => name)).toEqual(["b", "a", "w"]);
  });

  test("lets the node that makes a value write the output itself", () => {
    const g = builder();
    const x = g.input("x", "f32", [2]);
    const sum = add(g, x, x);
    g.output("sum", sum);
    g.output("twice", add(g, sum, x)); // reads the value under its new name
    const { node } = decodeGraph(g.build());
    expect(node.map(({ opType, input, output }) => ({ opType, input, output }))).toEqual([
      { opType: "Add", input: ["x", "x"], output: ["sum"] },
      { opType: "Add", input: ["sum", "x"], output: ["twice"] },
    ]);
  });

  test("has one constant for one number", () => {
    const g = builder();
    expect(g.scalar(2)).toBe(g.scalar(2));
    expect(g.scalar(2)).not.toBe(g.scalar(3));
    expect(g.scalar(2).shape).toEqual([]);
  });

  test.each([
    ["an input twice", (g: GraphBuilder) => g.input("x", "f32", [1])],
    ["an output that is an input", (g: GraphBuilder) => g.output("y", g.input("a", "f32", [1]))],
    [
      "one value under two names",
      (g: GraphBuilder) => {
        const sum = add(g, g.scalar(1), g.scalar(2));
        g.output("a", sum);
        g.output("b", sum);
      },
    ],
    [
      "two outputs of one name",
      (g: GraphBuilder) => {
        g.output("a", add(g, g.scalar(1), g.scalar(2)));
        g.output("a", add(g, g.scalar(1), g.scalar(2)));
      },
    ],
  ])("refuses %s", (_, mistake) => {
    const g = builder();
    g.input("x", "f32", [1]);
    expect(() => mistake(g)).toThrow("web-umm internal error");
  });
});

describe("GraphBuilder.weight", () => {
  const whole = { tensor: "w", shape: [6, 32], use: "linear" } as const;

  test("is one input for one tensor, however often it is asked for", () => {
    const g = builder();
    expect(g.weight(whole)).toBe(g.weight(whole));
    expect(g.build().weights).toHaveLength(1);
  });

  test("is another input for other rows", () => {
    const g = builder();
    const cut = { tensor: "w", shape: [2, 32], sourceShape: [6, 32], use: "linear" } as const;
    g.weight({ ...cut, rows: [0, 2] });
    g.weight({ ...cut, rows: [2, 4] });
    expect(g.build().weights.map(({ key }) => key)).toEqual(["w[0:2]", "w[2:4]"]);
  });

  test("carries everything the importer asks for", () => {
    const g = builder("f32", "vae");
    g.weight(whole);
    expect(g.build().weights).toEqual([
      {
        ...whole,
        key: "vae/w",
        aliases: [],
        companion: "vae",
        sourceShape: [6, 32],
      },
    ]);
  });

  test("is transposed in floats and in two parts when quantized", () => {
    expect(builder("f16").weight(whole)).toEqual([{ name: "w", dtype: "f32", shape: [32, 6] }]);
    expect(builder("q4").weight(whole)).toEqual([
      { name: "w", dtype: "u8", shape: [6, 1, 16] },
      { name: "w.scales", dtype: "f32", shape: [6] },
    ]);
  });

  test("is bound in the float type of the graph, whatever it is stored in", () => {
    const g = new GraphBuilder({ name: "test", float: "f16", quantization: "f32" });
    g.weight({ tensor: "norm", shape: [4], use: "plain" });
    expect(g.build().weightParts).toEqual([{ name: "norm", dtype: "f16", shape: [4] }]);
  });
});
