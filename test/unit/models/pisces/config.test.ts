import { describe, expect, test } from "vitest";
import { isPiscesConfig, parsePiscesConfig } from "../../../../src/models/pisces/config.ts";
import { pictureSlots } from "../../../../src/models/pisces/vision.ts";
import { pisces } from "../../../../src/models/pisces/index.ts";
import { readPiscesFiles } from "../../../support/pisces-goldens.ts";

type Files = Record<string, unknown>;

// The paper's backbones: LLaMA-3.1-8B-Instruct's config.json, SDXL's unet/config.json, stabilityai/sdxl-vae's.
const LLAMA = {
  model_type: "llama",
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-5,
  rope_theta: 500000.0,
  rope_scaling: {
    factor: 8.0,
    low_freq_factor: 1.0,
    high_freq_factor: 4.0,
    original_max_position_embeddings: 8192,
    rope_type: "llama3",
  },
  max_position_embeddings: 131072,
  vocab_size: 128256,
  tie_word_embeddings: false,
};
const UNET = {
  block_out_channels: [320, 640, 1280],
  layers_per_block: 2,
  transformer_layers_per_block: [1, 2, 10],
  attention_head_dim: [5, 10, 20],
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  addition_embed_type: "text_time",
  addition_time_embed_dim: 256,
  cross_attention_dim: 1792,
  projection_class_embeddings_input_dim: 3328,
  sample_size: 128,
  use_linear_projection: true,
};
const VAE = {
  block_out_channels: [128, 256, 512, 512],
  latent_channels: 4,
  layers_per_block: 2,
  scaling_factor: 0.13025,
};
const FULL: Files = {
  "config.json": { model_type: "pisces", text_config: LLAMA, image_vector_size: 1792 },
  "unet/config.json": UNET,
  "vae/config.json": VAE,
};

function changed(file: string, change: object): Files {
  return { ...FULL, [file]: { ...(FULL[file] as object), ...change } };
}

describe("parsePiscesConfig", () => {
  test("fills in the sizes of the paper's backbones", () => {
    const config = parsePiscesConfig(FULL);
    expect(config).toMatchObject({ vectors: 64, imageSize: 1024, latentScale: 8 });
    expect(config.vision).toMatchObject({ width: 1152, layers: 27, heads: 16, imageSize: 384 });
    expect(pictureSlots(config)).toBe(729);
    expect(Math.trunc(config.vision.width * config.vision.mlpRatio)).toBe(4304);
    expect(config.language.ropeScaling).toMatchObject({ factor: 8, originalPositions: 8192 });
    expect(config.unet.transformerLayers).toEqual([0, 2, 10]);
    expect(config.scheduler).toEqual({
      trainSteps: 1000,
      betaStart: 0.00085,
      betaEnd: 0.012,
      stepsOffset: 1,
    });
  });

  test("declares as many numbers as the backbones have", () => {
    const weights = pisces.declareWeights(parsePiscesConfig(FULL), "f32");
    const count = (prefix: string): number =>
      weights
        .filter(({ tensor }) => tensor.startsWith(prefix))
        .reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    expect(count("language_model.")).toBe(8_030_261_248);
    // SDXL's own 2,567,463,684 with another context and another pooled vector.
    expect(count("unet.")).toBe(2_567_463_684 + 166_400 * (1792 - 2048) + 1280 * (1792 - 1280));
    // Without the attention pool.
    expect(count("vision_tower.")).toBe(412_987_248);
  });

  test("takes a checkpoint's own steps and guidance", () => {
    expect(parsePiscesConfig(FULL)).toMatchObject({ steps: 50, guidance: 3 });
    const own = { num_inference_steps: 20, guidance_scale: 1 };
    expect(parsePiscesConfig(changed("config.json", own))).toMatchObject({
      steps: 20,
      guidance: 1,
    });
  });

  test("reads an earlier layer of the tower without its norm", () => {
    const { vision } = parsePiscesConfig(readPiscesFiles("b"));
    expect(vision).toMatchObject({ layers: 2, hasFinalNorm: false });
  });

  test.each([
    [
      "vectors of another width than the UNet's context",
      "unet/config.json",
      { cross_attention_dim: 2048 },
    ],
    [
      "a pooled vector of another width",
      "unet/config.json",
      { projection_class_embeddings_input_dim: 2816 },
    ],
    ["heads that do not divide", "unet/config.json", { attention_head_dim: [5, 10, 7] }],
    ["a level too many", "unet/config.json", { attention_head_dim: [5, 10] }],
    ["a VAE of other latents", "vae/config.json", { latent_channels: 16 }],
    ["a layer that the tower does not have", "config.json", { vision_feature_layer: -28 }],
    ["no width of the vectors", "config.json", { image_vector_size: null }],
    ["absurdly many vectors", "config.json", { num_image_vectors: 1e6 }],
  ])("refuses %s as checkpoint-invalid", (_, file, change) => {
    expect(() => parsePiscesConfig(changed(file, change))).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test.each([
    [
      "rope of another rule",
      "config.json",
      { text_config: { ...LLAMA, rope_scaling: { rope_type: "yarn" } } },
    ],
    ["convolutions for projections", "unet/config.json", { use_linear_projection: false }],
    [
      "other blocks",
      "unet/config.json",
      { down_block_types: ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D"] },
    ],
    [
      "a way up that does not mirror the way down",
      "unet/config.json",
      { up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"] },
    ],
    [
      "another activation of the tower",
      "config.json",
      { vision_config: { hidden_act: "quick_gelu" } },
    ],
  ])("refuses %s as unsupported-model", (_, file, change) => {
    expect(() => parsePiscesConfig(changed(file, change))).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });

  test.each([
    { prediction_type: "v_prediction" },
    { timestep_spacing: "trailing" },
    { use_karras_sigmas: true },
  ])("refuses a scheduler with %o as unsupported-model", (change) => {
    expect(() => parsePiscesConfig({ ...FULL, "scheduler/scheduler_config.json": change })).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });

  test("names a missing file", () => {
    const { "unet/config.json": _, ...rest } = FULL;
    expect(() => parsePiscesConfig(rest)).toThrow(/unet\/config\.json/);
  });
});

describe("isPiscesConfig", () => {
  test("knows its own and no other model", () => {
    expect(isPiscesConfig(FULL["config.json"])).toBe(true);
    expect(isPiscesConfig({ model_type: "llama" })).toBe(false);
    expect(isPiscesConfig({})).toBe(false);
  });
});
