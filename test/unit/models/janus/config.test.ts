import { describe, expect, test } from "vitest";
import { isJanusFlowConfig } from "../../../../src/models/janus-flow/config.ts";
import {
  codesPerPicture,
  isJanusConfig,
  parseJanusConfig,
} from "../../../../src/models/janus/config.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { janusCheckpoint } from "../../../support/janus-goldens.ts";
import { PUBLISHED } from "../../../support/published-configs.ts";

const PRO_7B = PUBLISHED["Janus-Pro-7B"]?.files["config.json"] as Record<string, object>;
const CODES = { image_token_size: 16384, n_embed: 8 };

function withPart(key: string, params: object): Record<string, unknown> {
  const part = {
    ...PRO_7B[key],
    params: { ...(PRO_7B[key] as { params: object }).params, ...params },
  };
  return { "config.json": { ...PRO_7B, [key]: part } };
}

describe("parseJanusConfig", () => {
  test("guides as its generation_config.json says, else as the authors' script does", () => {
    const files = { "config.json": PRO_7B };
    expect(parseJanusConfig(files).guidance).toBe(5);
    const generation = { generation_kwargs: { guidance_scale: 1.5 } };
    expect(parseJanusConfig({ ...files, "generation_config.json": generation }).guidance).toBe(1.5);
  });

  test("fills what Janus-Pro-7B leaves to LlamaConfig", () => {
    const config = parseJanusConfig({ "config.json": PRO_7B });
    expect(config.language).toMatchObject({
      hiddenSize: 4096,
      layers: 30,
      heads: 32,
      kvHeads: 32,
      headDim: 128,
      intermediateSize: 11008,
      vocabularySize: 102400,
      rmsNormEps: 1e-6,
      ropeTheta: 10000,
    });
    expect(config.vision).toMatchObject({ layers: 24, width: 1024, patchSize: 16 });
    expect(config.headWidth).toBe(4096);
  });

  test("knows the tokenizer of pictures by its name", () => {
    const { autoencoder, codebook, grid, imageSize, ...config } = parseJanusConfig({
      "config.json": PRO_7B,
    });
    expect(autoencoder).toMatchObject({
      blockOutChannels: [128, 128, 256, 256, 512],
      layersPerBlock: 2,
      latentChannels: 8,
      innerChannels: 256,
      attentionLevels: [4],
    });
    expect(codebook).toMatchObject({ codes: 16384, width: 8, isNormalized: true });
    expect({ grid, imageSize }).toEqual({ grid: [24, 24], imageSize: 384 });
    expect(codesPerPicture({ grid })).toBe(576);
    expect(config.tags).toEqual({
      image: "<image_placeholder>",
      start: "<begin_of_image>",
      end: "<end_of_image>",
      pad: "<｜▁pad▁｜>",
    });
  });

  test("reads the same sizes from transformers' layout", () => {
    const read = (name: "a" | "a-transformers") =>
      parseJanusConfig(readCheckpointFiles(janusCheckpoint(name)));
    const [ours, theirs] = [read("a"), read("a-transformers")];
    const sizes = (config: typeof ours) => {
      const { names: _, ...autoencoder } = config.autoencoder;
      return {
        ...config,
        names: 0,
        language: { ...config.language, prefix: "", body: "" },
        vision: { ...config.vision, prefix: "", names: 0 },
        autoencoder: { ...autoencoder, prefix: "" },
        codebook: { ...config.codebook, weight: "" },
      };
    };
    expect(sizes(theirs)).toEqual(sizes(ours));
    expect(theirs.names).not.toBe(ours.names);
  });

  test.each([
    ["no codes", "gen_vision_config", { image_token_size: 0 }],
    ["absurd codes", "gen_vision_config", { image_token_size: 1e9 }],
    ["an aligner from elsewhere", "aligner_config", { input_dim: 7 }],
    ["an aligner to elsewhere", "gen_aligner_config", { n_embed: 7 }],
    ["a head for other codes", "gen_head_config", { image_token_size: 7 }],
    ["pictures of no whole codes", "vision_config", { image_size: 376 }],
    ["a tower whose heads do not divide it", "vision_config", { heads: 7 }],
  ])("refuses %s as checkpoint-invalid", (_, key, params) => {
    expect(() => parseJanusConfig(withPart(key, params))).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test("refuses a hybrid aligner as unsupported-model", () => {
    const files = withPart("aligner_config", { projector_type: "low_high_hybrid_split_mlp_gelu" });
    expect(() => parseJanusConfig(files)).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });

  test("refuses transformers' projections of another width than the core", () => {
    const files = readCheckpointFiles(janusCheckpoint("a-transformers"));
    const config = files["config.json"] as { vq_config: object };
    const vq_config = { ...config.vq_config, projection_dim: 48 };
    expect(() => parseJanusConfig({ "config.json": { ...config, vq_config } })).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test("refuses transformers' towers whose heads do not divide them", () => {
    const files = readCheckpointFiles(janusCheckpoint("a-transformers"));
    const config = files["config.json"] as { vision_config: object };
    const vision_config = { ...config.vision_config, num_attention_heads: 7 };
    expect(() => parseJanusConfig({ "config.json": { ...config, vision_config } })).toThrow(
      /7 heads \(num_attention_heads\) do not divide/,
    );
  });

  test("refuses norms of queries in transformers' tower as unsupported-model", () => {
    const config = { model_type: "janus", text_config: {}, vision_config: { use_qk_norm: true } };
    expect(() => parseJanusConfig({ "config.json": config })).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });
});

describe("isJanusConfig", () => {
  const flow = PUBLISHED["JanusFlow-1.3B"]?.files["config.json"];

  test("knows both layouts and is not mistaken for JanusFlow", () => {
    expect(isJanusConfig(PRO_7B)).toBe(true);
    expect(isJanusConfig({ model_type: "janus" })).toBe(true);
    expect(isJanusFlowConfig(PRO_7B)).toBe(false);
    expect(isJanusFlowConfig({ model_type: "janus" })).toBe(false);
    expect(isJanusConfig(flow)).toBe(false);
  });

  test.each([
    { model_type: "multi_modality" },
    { model_type: "llama", gen_vision_config: { cls: "VQ-16", params: CODES } },
    {},
  ])("does not take %o", (config) => {
    expect(isJanusConfig(config)).toBe(false);
  });
});
