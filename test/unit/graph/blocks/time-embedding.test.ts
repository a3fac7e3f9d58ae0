import { describe, expect, test } from "vitest";
import { timeEmbedding } from "../../../../src/graph/blocks/time-embedding.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { openGolden, type GoldenCheckpoint } from "../../../support/golden-checkpoint.ts";
import { evaluate, type RunOptions } from "../../../support/run-graph.ts";

function embed({ config, weights }: GoldenCheckpoint, time: number, options: RunOptions = {}) {
  const prefix = "vision_gen_enc_model.time_embed.";
  const sizes = { prefix, width: config.encoder.channels, hidden: config.language.hiddenSize };
  return evaluate((g) => timeEmbedding(g, g.input("time", "f32", [1]), sizes), {
    inputs: { time: [time] },
    weights,
    ...options,
  });
}

describe.each(["a", "b"] as const)("timeEmbedding of checkpoint %s", (name) => {
  const golden = openGolden(name);

  test.each([
    ["0", 0],
    ["1/30", 1 / 30],
    ["0.5", 0.5],
    ["0.9667", 0.9667],
  ])("is the reference's at t = %s", async (key, time) => {
    const { values } = await embed(golden, time);
    expect(relativeError(values, golden.golden(`generate.tEmb.${key}`))).toBeLessThan(1e-5);
  });

  test.each([
    ["f16", "f16", 1e-5],
    ["f32", "q8", 1e-3],
    ["f32", "q4", 1e-2],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const { values } = await embed(golden, 0.5, { float, quantization });
    expect(1 - cosine(values, golden.golden("generate.tEmb.0.5"))).toBeLessThan(distance);
  });
});

test("sinusoids are cosines first, then sines, exact to 1e-6 over the whole range of times", async () => {
  // With the identity for both layers, what comes out is silu of each sinusoid.
  const width = 8;
  const identity = Float32Array.from({ length: width * width }, (_, at) =>
    at % (width + 1) === 0 ? 1 : 0,
  );
  for (const time of [0, 0.001, 0.1234, 0.5, 0.9667, 1]) {
    const { values } = await evaluate(
      (g) => timeEmbedding(g, g.input("time", "f32", [1]), { prefix: "", width, hidden: width }),
      {
        inputs: { time: [time] },
        weights: ({ shape }) => (shape.length === 2 ? identity : new Float32Array(width)),
      },
    );
    const tau = Math.fround(Math.fround(time) * 1000);
    for (let i = 0; i < width; i++) {
      const frequency = Math.fround(10000 ** (-(i % 4) / 4));
      const angle = Math.fround(tau * frequency);
      const wave = i < 4 ? Math.cos(angle) : Math.sin(angle);
      expect(values[i]).toBeCloseTo(wave / (1 + Math.exp(-wave)), 5);
    }
  }
});
