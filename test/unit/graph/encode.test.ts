import { describe, expect, test } from "vitest";
import { encodeModel, type Model } from "../../../src/graph/encode.ts";
import { decodeGraph, decodeModel } from "../../support/decode-graph.ts";

const EMPTY: Model = { name: "test", nodes: [], initializers: [], inputs: [], outputs: [] };

function encoded(parts: Partial<Model>) {
  return { bytes: encodeModel({ ...EMPTY, ...parts }) };
}

describe("encodeModel", () => {
  test("names its opsets and versions", () => {
    const model = decodeModel(encoded({}));
    expect(model.irVersion).toBe(10n);
    expect(model.graph?.name).toBe("test");
    expect(model.opsetImport.map(({ domain, version }) => [domain, version])).toEqual([
      ["", 21n],
      ["com.microsoft", 1n],
    ]);
  });

  test("keeps a node with its missing inputs", () => {
    const { node } = decodeGraph(
      encoded({
        nodes: [
          {
            type: "Resize",
            domain: "com.microsoft",
            inputs: ["x", "", "scales"],
            outputs: ["y", "z"],
            attributes: {},
          },
        ],
      }),
    );
    expect(node).toMatchObject([
      { opType: "Resize", domain: "com.microsoft", input: ["x", "", "scales"], output: ["y", "z"] },
    ]);
  });

  test("keeps attributes of every kind", () => {
    const attributes = {
      axis: -1,
      big: 2 ** 40,
      mode: "CRD",
      pads: [0, -3, 300],
      none: [],
      epsilon: { float: 1e-6 },
    };
    const { node } = decodeGraph(
      encoded({ nodes: [{ type: "T", domain: "", inputs: [], outputs: ["y"], attributes }] }),
    );
    const found = Object.fromEntries((node[0]?.attribute ?? []).map((a) => [a.name, a]));
    expect(found["axis"]).toMatchObject({ type: 2, i: -1n });
    expect(found["big"]).toMatchObject({ type: 2, i: 2n ** 40n });
    expect(new TextDecoder().decode(found["mode"]?.s)).toBe("CRD");
    expect(found["pads"]).toMatchObject({ type: 7, ints: [0n, -3n, 300n] });
    expect(found["none"]).toMatchObject({ type: 7, ints: [] });
    expect(found["epsilon"]).toMatchObject({ type: 1, f: Math.fround(1e-6) });
  });

  test("keeps constants, also those that are part of a larger buffer", () => {
    const data = Float32Array.of(9, 1.5, -2, 9).subarray(1, 3);
    const { initializer } = decodeGraph(
      encoded({
        initializers: [
          { name: "c", dtype: "f32", shape: [2], data },
          { name: "s", dtype: "i64", shape: [], data: BigInt64Array.of(-7n) },
        ],
      }),
    );
    expect(initializer).toMatchObject([
      { name: "c", dataType: 1, dims: [2n] },
      { name: "s", dataType: 7, dims: [] },
    ]);
    expect([...new Float32Array((initializer[0]?.rawData ?? data).slice().buffer)]).toEqual([
      1.5, -2,
    ]);
  });

  test("keeps fixed and named dimensions of ports", () => {
    const { input, output } = decodeGraph(
      encoded({
        inputs: [{ name: "x", dtype: "f16", shape: [1, "S", 300] }],
        outputs: [{ name: "y", dtype: "u8", shape: [] }],
      }),
    );
    const typeOf = (port: (typeof input)[number] | undefined) => {
      const type = port?.type?.value;
      if (type?.case !== "tensorType") throw new Error("a port is a tensor");
      const { elemType, shape } = type.value;
      return [elemType, shape?.dim.map(({ value }) => value.value)];
    };
    expect(typeOf(input[0])).toEqual([10, [1n, "S", 300n]]);
    expect(typeOf(output[0])).toEqual([2, []]);
  });
});
