// The autoencoder under the names of Janus and of taming-transformers, with its codebook, beside the
// authors' networks (test/golden/vq/make.py).
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import {
  codeVectors,
  nearestCodes,
  readCodes,
  type CodebookConfig,
} from "../../../../src/graph/blocks/codebook.ts";
import { JANUS_NAMES, TAMING_NAMES } from "../../../../src/graph/blocks/vae-names.ts";
import { vaeDecoder, vqEncoder, type VaeConfig } from "../../../../src/graph/blocks/vae.ts";
import { GraphBuilder } from "../../../../src/graph/builder.ts";
import { relativeError } from "../../../support/closeness.ts";
import { evaluate, runGraph } from "../../../support/run-graph.ts";
import { parseGoldens } from "../../../support/safetensors-file.ts";

const SHARED = {
  layersPerBlock: 1,
  normNumGroups: 4,
  latentChannels: 4,
  innerChannels: 6,
  useQuantConv: true,
  usePostQuantConv: true,
  midAttention: true,
};
const JANUS: VaeConfig = {
  ...SHARED,
  blockOutChannels: [8, 16],
  attentionLevels: [1],
  names: JANUS_NAMES,
};
const CHAMELEON: VaeConfig = {
  ...SHARED,
  blockOutChannels: [8, 16, 16],
  attentionLevels: [1],
  names: TAMING_NAMES,
};
const IMAGE = [1, 3, 16, 16];

describe.each([
  ["janus", JANUS, 8, true],
  ["chameleon", CHAMELEON, 4, false],
] as const)("the VQ-GAN of %s", (name, config, side, isNormalized) => {
  const { golden, weights } = open(name);
  const codebook: CodebookConfig = {
    weight: "quantize.embedding.weight",
    codes: 24,
    width: 4,
    isNormalized,
  };

  test.each(["codes", "otherCodes"] as const)("paints %s as the reference does", async (key) => {
    const { values } = await evaluate(
      (g) => {
        const codes = g.input("codes", "i32", [1, side * side]);
        return vaeDecoder(g, codeVectors(g, codes, [side, side], codebook), config);
      },
      { inputs: { codes: golden(key) }, weights },
    );
    const expected = golden(key === "codes" ? "decoded" : "otherDecoded");
    expect(relativeError(values, expected)).toBeLessThan(1e-4);
  });

  test("turns a picture into the reference's codes", async () => {
    const g = new GraphBuilder({ name: "encoder", float: "f32", quantization: "f32" });
    const features = vqEncoder(g, g.input("image", "f32", IMAGE), config);
    g.output("codes", nearestCodes(g, features, codebook));
    g.output("features", features);
    const outputs = await runGraph(g.build(), { inputs: { image: golden("image") }, weights });
    expect(relativeError(outputs["features"]?.values ?? [], golden("features"))).toBeLessThan(1e-4);
    const chosen = outputs["codes"]?.values ?? new Float32Array();
    expect([...readCodes(chosen)]).toEqual([...golden("codes")]);
  });

  test.each([
    ["a feature of NaN", "features", Number.NaN],
    ["an infinite feature", "features", Infinity],
    ["an entry of the table that is NaN", "table", Number.NaN],
  ])("refuses codes that were chosen by %s", async (_, where, bad) => {
    const numbers = (n: number): number => Math.sin(n * 1.7);
    const g = new GraphBuilder({ name: "codes", float: "f32", quantization: "f32" });
    g.output("codes", nearestCodes(g, g.input("x", "f32", [1, 4, 2, 3]), codebook));
    const x = Float32Array.from({ length: 24 }, (__, n) => numbers(n));
    const entries = Float32Array.from({ length: 96 }, (__, n) => numbers(n + 40));
    const run = async (): Promise<Float32Array> => {
      const { codes } = await runGraph(g.build(), { inputs: { x }, weights: () => entries });
      return codes?.values ?? new Float32Array();
    };
    expect(readCodes(await run())).toHaveLength(6);
    if (where === "features") x[10] = bad;
    else entries[50] = bad;
    const broken = await run();
    expect(() => readCodes(broken)).toThrow(/of a seen picture was chosen by what is no number/);
  });

  test("refuses codes that were never written", () => {
    expect(() => readCodes(new Float32Array(12))).toThrow(
      expect.objectContaining({ code: "numerics" }),
    );
  });

  test("binds weights of the checkpoint's own names and shapes", () => {
    const g = new GraphBuilder({ name: "vq", float: "f16", quantization: "q4" });
    const codes = g.input("codes", "i32", [1, side * side]);
    g.output("image", vaeDecoder(g, codeVectors(g, codes, [side, side], codebook), config));
    g.output("features", vqEncoder(g, g.input("image", "f16", IMAGE), config));
    const { weights: declared, weightParts } = g.build();
    const names = declared.map(({ tensor }) => tensor);
    expect(new Set(names)).toEqual(new Set(weightNames(name)));
    expect(weightParts.every(({ dtype }) => dtype === "f16")).toBe(true);
  });
});

test("a prefix stands before every name", () => {
  const g = new GraphBuilder({ name: "vq", float: "f32", quantization: "f32" });
  const z = g.input("z", "f32", [1, 4, 2, 2]);
  g.output("image", vaeDecoder(g, z, { ...JANUS, prefix: "gen_vision_model." }));
  const { weights } = g.build();
  expect(weights.every(({ tensor }) => tensor.startsWith("gen_vision_model."))).toBe(true);
});

function open(name: string) {
  const tensors = tensorsOf(name);
  const golden = (key: string) => {
    const tensor = tensors.get(key);
    if (tensor === undefined) throw new Error(`${name} has no ${key}`);
    return tensor.values;
  };
  return {
    golden,
    weights: ({ tensor }: { tensor: string }) => Float32Array.from(golden(tensor)),
  };
}

function tensorsOf(name: string) {
  const file = new URL(`../../../golden/vq/${name}.safetensors`, import.meta.url);
  return parseGoldens(readFileSync(file));
}

function weightNames(name: string): string[] {
  return [...tensorsOf(name).keys()].filter((key) => key.includes("."));
}
