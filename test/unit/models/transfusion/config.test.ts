import { describe, expect, test } from "vitest";
import {
  isTransfusionConfig,
  parseTransfusionConfig,
} from "../../../../src/models/transfusion/config.ts";
import { slotGrid } from "../../../../src/models/transfusion/latents.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { transfusionFolder } from "../../../support/transfusion-goldens.ts";

const VAE = {
  block_out_channels: [8, 16],
  latent_channels: 4,
  layers_per_block: 1,
  norm_num_groups: 8,
};
const CONFIG = {
  model_type: "transfusion",
  num_text_tokens: 256,
  dim_latent: 4,
  modality_default_shape: [8, 8],
  transformer: { dim: 64, depth: 4 },
};
const CONVOLUTIONS = [
  { type: "Conv2d", in_channels: 4, out_channels: 64, kernel_size: 3, stride: 2, padding: 1 },
  [
    { type: "SiLU" },
    {
      type: "ConvTranspose2d",
      in_channels: 64,
      out_channels: 4,
      kernel_size: 3,
      stride: 2,
      padding: 1,
      output_padding: 1,
    },
  ],
];

function parse(change: object = {}) {
  return parseTransfusionConfig({
    "config.json": { ...CONFIG, ...change },
    "vae/config.json": VAE,
  });
}

describe("parseTransfusionConfig", () => {
  test("has the library's defaults", () => {
    expect(parse()).toMatchObject({
      transformer: { headDim: 64, heads: 8, innerSize: 170, softcap: 50, gateValues: true },
      patchSize: 1,
      solver: "midpoint",
      cleanEps: 0.01,
      maxLength: 2048,
      sampling: { steps: 15, guidance: 3, editingGuidance: 3 },
    });
  });

  test("a checkpoint may say how it is sampled", () => {
    const { sampling } = parse({ sampling: { guidance: 2, editing_guidance: 1.5 } });
    expect(sampling).toEqual({ steps: 15, guidance: 2, editingGuidance: 1.5 });
    expect(() => parse({ sampling: { steps: 0 } })).toThrow(/steps/);
    expect(() => parse({ sampling: { guidance: "much" } })).toThrow(/guidance/);
  });

  test("reads both golden checkpoints", () => {
    const [a, b] = (["a", "b"] as const).map((name) =>
      parseTransfusionConfig(readCheckpointFiles(new URL("checkpoint/", transfusionFolder(name)))),
    );
    expect(a).toMatchObject({ patchSize: 2, latentSize: 16, defaultGrid: [4, 4] });
    expect(b?.transformer).toMatchObject({ softcap: 20, gateValues: false, innerSize: 64 });
    expect(b && slotGrid(b, b.defaultGrid)).toEqual([4, 6]);
  });

  test("names the tensors of modules as torch does", () => {
    const { layers } = parse({
      channel_first_latent: true,
      pre_post_transformer_enc_dec: CONVOLUTIONS,
    });
    expect(layers?.encoder.map(({ name }) => name)).toEqual(["latent_to_model_projs.0.0."]);
    expect(layers?.decoder.map(({ name }) => name)).toEqual([
      "model_to_latent_projs.0.1.0.",
      "model_to_latent_projs.0.1.1.",
    ]);
  });

  test.each([
    ["no text tokens", { num_text_tokens: 0 }],
    ["latents that are not the VAE's", { dim_latent: 5 }],
    ["no depth", { transformer: { dim: 64 } }],
    ["an odd width", { transformer: { dim: 63, depth: 1 } }],
    ["text for a number", { eps: "small" }],
    [
      "channels that do not meet",
      {
        channel_first_latent: true,
        pre_post_transformer_enc_dec: CONVOLUTIONS.toReversed(),
      },
    ],
  ])("refuses %s as checkpoint-invalid", (_, change) => {
    expect(() => parse(change)).toThrow(expect.objectContaining({ code: "checkpoint-invalid" }));
  });

  test.each([
    ["two modalities", { dim_latent: [4, 8] }],
    ["sounds", { modality_default_shape: [64] }],
    ["another solver", { odeint_kwargs: { method: "dopri5" } }],
    ["modules without channels first", { pre_post_transformer_enc_dec: CONVOLUTIONS }],
    [
      "other modules",
      { channel_first_latent: true, pre_post_transformer_enc_dec: [{ type: "Unet" }, {}] },
    ],
  ])("refuses %s as unsupported-model", (_, change) => {
    expect(() => parse(change)).toThrow(expect.objectContaining({ code: "unsupported-model" }));
  });

  test("names a missing file", () => {
    expect(() => parseTransfusionConfig({ "config.json": CONFIG })).toThrow(/vae\/config\.json/);
  });
});

test("isTransfusionConfig knows its own", () => {
  expect(isTransfusionConfig(CONFIG)).toBe(true);
  expect(isTransfusionConfig({ model_type: "llama" })).toBe(false);
});
