// Beside diffusers' UNet2DConditionModel: test/golden/pisces/make.py.
import { describe, expect, test } from "vitest";
import { unet } from "../../../../src/graph/blocks/unet.ts";
import { cast, reshape } from "../../../../src/graph/ops/movement.ts";
import { reduceMean } from "../../../../src/graph/ops/reduction.ts";
import { parsePiscesConfig } from "../../../../src/models/pisces/config.ts";
import { latentShape } from "../../../../src/models/pisces/velocity.ts";
import { checkpointWeights } from "../../../support/checkpoint-weights.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import {
  goldenFolder,
  readPiscesFiles,
  readPiscesGoldens,
} from "../../../support/pisces-goldens.ts";
import { evaluate, type RunOptions } from "../../../support/run-graph.ts";

describe.each(["a", "b"] as const)("unet of checkpoint %s", (name) => {
  const config = parsePiscesConfig(readPiscesFiles(name));
  const weights = checkpointWeights(new URL("checkpoint/unet/", goldenFolder(name)));
  const { tensors, json } = readPiscesGoldens(name);
  const { width, height, times } = json.generate;
  const golden = (key: string): number[] => Array.from(tensors.get(key)?.values ?? []);
  const rows = ["cond", "uncond"];
  const contextShape = [rows.length, config.vectors, config.vectorSize];

  async function predict({ timestep, sigma }: (typeof times)[number], options: RunOptions = {}) {
    const scale = 1 / Math.hypot(sigma, 1);
    const inputs = {
      latents: golden("generate.latents").map((value) => value * scale),
      time: [timestep],
      context: rows.flatMap((row) => golden(`generate.${row}.vectors`)),
    };
    const { values } = await evaluate(
      (g) => {
        const latents = g.input("latents", "f32", [1, ...latentShape(config, { width, height })]);
        const context = cast(g, g.input("context", "f32", contextShape), g.float);
        return unet(
          g,
          {
            latents: cast(g, latents, g.float),
            time: g.input("time", "f32", [1]),
            context,
            pooled: reshape(g, reduceMean(g, context, [1]), [rows.length, config.vectorSize]),
            timeIds: [height, width, 0, 0, height, width],
          },
          { ...config.unet, prefix: "" },
        );
      },
      { inputs, weights, ...options },
    );
    return values;
  }

  const expected = ({ timestep }: (typeof times)[number]): number[] =>
    rows.flatMap((row) => golden(`generate.t.${timestep}.${row}`));

  test.each(times)("predicts diffusers' noise at time $timestep", async (time) => {
    expect(relativeError(await predict(time), expected(time))).toBeLessThan(1e-4);
  });

  // These weights are random; trained ones lose less.
  test.each([
    ["f16", "f16", 1e-4],
    ["f32", "q8", 1e-3],
    ["f32", "q4", 0.15],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const time = times[1] ?? { timestep: 0, sigma: 0 };
    const noise = await predict(time, { float, quantization });
    expect(1 - cosine(noise, expected(time))).toBeLessThan(distance);
  });
});
