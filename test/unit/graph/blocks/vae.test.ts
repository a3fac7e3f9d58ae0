import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { vaeDecoder, vaeEncoder } from "../../../../src/graph/blocks/vae.ts";
import { GraphBuilder } from "../../../../src/graph/builder.ts";
import { mul } from "../../../../src/graph/ops/elementwise.ts";
import { relativeError } from "../../../support/closeness.ts";
import { openGolden } from "../../../support/golden-checkpoint.ts";
import { evaluate, runGraph } from "../../../support/run-graph.ts";
import { parseGoldens } from "../../../support/safetensors-file.ts";

describe.each(["a", "b"] as const)("vaeDecoder of checkpoint %s", (name) => {
  const { config, weights, golden } = openGolden(name);

  // b's attention has the names and shapes of old files.
  test.each(["f32", "q4"] as const)(
    "paints as the reference does, weights in %s",
    async (quantization) => {
      const { values } = await evaluate(
        (g) => {
          const latents = g.input("latents", "f32", [1, ...config.latentShape]);
          return vaeDecoder(g, mul(g, latents, g.scalar(1 / config.vaeScalingFactor)), config.vae);
        },
        {
          inputs: { latents: golden("generate.latents") },
          weights,
          quantization,
          companion: "vae",
        },
      );
      // q4 keeps convolutions in f16, which holds these bfloat16 weights exactly.
      expect(relativeError(values, golden("vae.decoded"))).toBeLessThan(1e-4);
    },
  );

  test("declares no matrix coarser than f16", () => {
    const g = new GraphBuilder({ name: "vae", float: "f32", quantization: "q4", companion: "vae" });
    g.output(
      "image",
      vaeDecoder(g, g.input("latents", "f32", [1, ...config.latentShape]), config.vae),
    );
    const { weightParts, weights: declared } = g.build();
    expect(weightParts.every(({ dtype }) => dtype === "f32")).toBe(true);
    expect(declared.every(({ companion }) => companion === "vae")).toBe(true);
  });
});

test("vaeEncoder gives the reference's mean and log variance", async () => {
  const { config, weights, golden } = openGolden("a");
  const file = new URL("../../../golden/vae-encoder/encode.safetensors", import.meta.url);
  const expected = parseGoldens(readFileSync(file));
  const g = new GraphBuilder({
    name: "encoder",
    float: "f32",
    quantization: "f32",
    companion: "vae",
  });
  const image = g.input("image", "f32", [1, 3, config.imageSize, config.imageSize]);
  const { mean, logVariance } = vaeEncoder(g, image, config.vae);
  g.output("mean", mean);
  g.output("logVariance", logVariance);
  const outputs = await runGraph(g.build(), {
    inputs: { image: golden("image.0.pixelValues") },
    weights,
  });
  for (const key of ["mean", "logVariance"]) {
    const error = relativeError(outputs[key]?.values ?? [], expected.get(key)?.values ?? []);
    expect(error, key).toBeLessThan(1e-4);
  }
});
