import { describe, expect, test } from "vitest";
import { biased, linear } from "../../../../src/graph/blocks/linear.ts";
import { rmsNorm } from "../../../../src/graph/blocks/norm.ts";
import { timeEmbedding } from "../../../../src/graph/blocks/time-embedding.ts";
import { uvitDecoder, uvitEncoder } from "../../../../src/graph/blocks/uvit.ts";
import type { GraphBuilder } from "../../../../src/graph/builder.ts";
import type { Value } from "../../../../src/graph/graph.ts";
import { cast, reshape, transpose } from "../../../../src/graph/ops/movement.ts";
import { cosine, relativeError } from "../../../support/closeness.ts";
import { openGolden } from "../../../support/golden-checkpoint.ts";
import { evaluate, type RunOptions } from "../../../support/run-graph.ts";

describe.each(["a", "b"] as const)("ShallowUViT of checkpoint %s", (name) => {
  const { config, weights, golden } = openGolden(name);
  const { encoder, decoder, language, latentShape } = config;
  const hidden = language.hiddenSize;
  const side = latentShape[1] / encoder.patchSize;
  const tokens = side ** 2;

  function encode(g: GraphBuilder): { encoded: Value; time: Value } {
    const prefix = "vision_gen_enc_model.";
    const sizes = { prefix: `${prefix}time_embed.`, width: encoder.channels, hidden };
    const time = timeEmbedding(g, g.input("time", "f32", [1]), sizes);
    const latents = cast(g, g.input("latents", "f32", [1, ...latentShape]), g.float);
    return { encoded: uvitEncoder(g, latents, time, { prefix, ...encoder, hidden }), time };
  }

  /** The velocity of both rows from the core's last hidden states. */
  function decode(g: GraphBuilder): Value {
    const { encoded, time } = encode(g);
    const states = cast(g, g.input("states", "f32", [2, tokens, hidden]), g.float);
    const norm = { weight: "vision_gen_dec_aligner_norm.weight", eps: language.rmsNormEps };
    const aligner = biased("vision_gen_dec_aligner", decoder.channels);
    const aligned = linear(g, rmsNorm(g, states, norm), aligner); // [2, tokens, channels]
    const shape = [2, decoder.channels, side, side];
    const features = reshape(g, transpose(g, aligned, [0, 2, 1]), shape);
    const sizes = { prefix: "vision_gen_dec_model.", ...decoder, hidden };
    return uvitDecoder(g, features, encoded, time, { ...sizes, skipChannels: encoder.channels });
  }

  const inputsAt = (t: number) => ({
    latents: golden("generate.latents"),
    time: [t],
    states: ["Cond", "Uncond"].flatMap((row) => Array.from(golden(`generate.t.${t}.hidden${row}`))),
  });
  const velocityAt = (t: number) =>
    ["Cond", "Uncond"].flatMap((row) => Array.from(golden(`generate.t.${t}.v${row}`)));
  const run = async (make: (g: GraphBuilder) => Value, t: number, options: RunOptions = {}) => {
    const { latents, time, states } = inputsAt(t);
    const inputs = { latents, time, ...(make === decode ? { states } : {}) };
    return (await evaluate(make, { inputs, weights, ...options })).values;
  };

  test.each([0, 0.1, 0.5, 0.9])("encodes and decodes as the reference at t = %f", async (t) => {
    const encoded = await run((g) => encode(g).encoded, t);
    expect(relativeError(encoded, golden(`generate.t.${t}.xEmb`))).toBeLessThan(1e-4);
    expect(relativeError(await run(decode, t), velocityAt(t))).toBeLessThan(1e-4);
  });

  // These weights are random; trained ones lose less.
  test.each([
    ["f16", "f16", 1e-5],
    ["f32", "q8", 1e-3],
    ["f32", "q4", 3e-2],
  ] as const)("in %s with weights in %s", async (float, quantization, distance) => {
    const velocity = await run(decode, 0.5, { float, quantization });
    expect(1 - cosine(velocity, velocityAt(0.5))).toBeLessThan(distance);
  });
});
