import { describe, expect, test } from "vitest";
import { siglipTower } from "../../../../src/graph/blocks/siglip.ts";
import { cast } from "../../../../src/graph/ops/movement.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { openGolden } from "../../../support/golden-checkpoint.ts";
import { evaluate, type RunOptions } from "../../../support/run-graph.ts";

describe.each(["a", "b"] as const)("siglipTower of checkpoint %s", (name) => {
  const { config, weights, golden } = openGolden(name);
  const { vision } = config;

  async function tokens(image: number, options: RunOptions = {}) {
    const inputs = { pixels: golden(`image.${image}.pixelValues`) };
    const size = vision.imageSize;
    const { values } = await evaluate(
      (g) => siglipTower(g, cast(g, g.input("pixels", "f32", [1, 3, size, size]), g.float), vision),
      { inputs, weights, ...options },
    );
    return values;
  }

  test.each([0, 1])("sees picture %i as the reference does", async (image) => {
    expect(relativeError(await tokens(image), golden(`image.${image}.siglip`))).toBeLessThan(1e-4);
  });

  // These weights are random; trained ones lose less.
  test.each([
    ["f16", "f16", 1e-5],
    ["f32", "q8", 1e-3],
    ["f32", "q4", 6e-2],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const values = await tokens(0, { float, quantization });
    expect(1 - cosine(values, golden("image.0.siglip"))).toBeLessThan(distance);
  });
});
