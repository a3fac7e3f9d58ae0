import { describe, expect, test } from "vitest";
import {
  isJanusFlowConfig,
  parseJanusFlowConfig,
} from "../../../../src/models/janus-flow/config.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";

const files = readCheckpointFiles(
  new URL("../../../golden/janus-flow/a/checkpoint/", import.meta.url),
);

// JanusFlow-1.3B's config.json as its authors published it (deepseek-ai/JanusFlow-1.3B), sizes only.
const PUBLISHED = {
  model_type: "multi_modality",
  language_config: {
    hidden_size: 2048,
    intermediate_size: 5632,
    max_position_embeddings: 16384,
    model_type: "llama",
    num_attention_heads: 16,
    num_hidden_layers: 24,
    num_key_value_heads: 16,
    vocab_size: 102400,
  },
  vision_und_enc_config: {
    cls: "CLIPVisionTower",
    params: {
      image_size: 384,
      model_name: "siglip_large_patch16_384",
      select_feature: "same",
      select_layer: -1,
    },
  },
  vision_gen_enc_config: {
    cls: "ShallowUViTEncoder",
    params: {
      block_out_channels: [768],
      elementwize_affine: true,
      hidden_size: 2048,
      input_channels: 4,
      kernel_size: 2,
      layers_in_middle: 2,
      norm_eps: 1e-6,
      num_extra_tensors: 5,
      padding: 0,
      stride: 2,
      use_bias: true,
      use_mid_block: true,
    },
  },
  vision_gen_dec_config: {
    cls: "ShallowUViTDecoder",
    params: {
      block_out_channels: [768],
      hidden_size: 2048,
      in_channels: 768,
      layers_in_middle: 2,
      norm_eps: 1e-6,
      out_channels: 4,
      upsamples: 1,
      use_bias: true,
      use_mid_block: true,
    },
  },
};

const SDXL_VAE = {
  block_out_channels: [128, 256, 512, 512],
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  scaling_factor: 0.13025,
};

function withLanguage(change: object): Record<string, unknown> {
  const language_config = { ...PUBLISHED.language_config, ...change };
  return { "config.json": { ...PUBLISHED, language_config }, "vae/config.json": SDXL_VAE };
}

describe("parseJanusFlowConfig", () => {
  test("reads the published checkpoint's sizes", () => {
    const config = parseJanusFlowConfig(withLanguage({}));
    expect(config.vision).toMatchObject({ layers: 24, width: 1024, patchSize: 16, imageSize: 384 });
    expect(config.language).toMatchObject({ headDim: 128, ropeTheta: 10000, rmsNormEps: 1e-6 });
    expect(config.latentShape).toEqual([4, 48, 48]);
  });

  test("lets explicit sizes win over the table of towers", () => {
    const config = parseJanusFlowConfig(files);
    expect(config.vision).toMatchObject({ width: 64, layers: 2, heads: 4, patchSize: 8 });
  });

  test.each([
    ["no layers", { num_hidden_layers: 0 }],
    ["a fraction of a layer", { num_hidden_layers: 1.5 }],
    ["an absurd width", { hidden_size: 1e9 }],
    ["text for a number", { hidden_size: "2048" }],
    ["heads that do not divide", { num_attention_heads: 7 }],
  ])("refuses %s as checkpoint-invalid", (_, change) => {
    expect(() => parseJanusFlowConfig(withLanguage(change))).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test.each([
    ["scaled rope", { rope_scaling: { type: "linear", factor: 2 } }],
    ["another activation", { hidden_act: "gelu" }],
    ["biases", { attention_bias: true }],
  ])("refuses %s as unsupported-model", (_, change) => {
    expect(() => parseJanusFlowConfig(withLanguage(change))).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });

  test("names a missing file", () => {
    expect(() => parseJanusFlowConfig({ "config.json": PUBLISHED })).toThrow(/vae\/config\.json/);
  });
});

describe("isJanusFlowConfig", () => {
  test("knows its own and no other multi_modality model", () => {
    expect(isJanusFlowConfig(PUBLISHED)).toBe(true);
    expect(isJanusFlowConfig({ model_type: "multi_modality" })).toBe(false);
    expect(isJanusFlowConfig({ model_type: "llama" })).toBe(false);
  });

  test.each([null, 7, "x", []])("throws checkpoint-invalid for %s", (json) => {
    expect(() => isJanusFlowConfig(json)).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });
});
