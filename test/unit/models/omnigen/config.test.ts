import { describe, expect, test } from "vitest";
import { isOmniGenConfig, parseOmniGenConfig } from "../../../../src/models/omnigen/config.ts";
import { longRopeTables } from "../../../../src/models/omnigen/rope.ts";
import { axisTable } from "../../../../src/models/omnigen/grid.ts";
import { omniGen } from "../../../../src/models/omnigen/index.ts";
import { damageJson } from "../../../support/damage-json.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";
import { omniGenFolder, readOmniGenGoldens } from "../../../support/omnigen-goldens.ts";

const NONE = new Set<string>();
const files = readCheckpointFiles(new URL("checkpoint/", omniGenFolder("a")));

// Sizes of Shitao/OmniGen-v1 and of its vae/config.json; the factors are only as many.
const PUBLISHED = {
  _name_or_path: "Phi-3-vision-128k-instruct",
  architectures: ["Phi3ForCausalLM"],
  hidden_act: "silu",
  hidden_size: 3072,
  intermediate_size: 8192,
  max_position_embeddings: 131072,
  model_type: "phi3",
  num_attention_heads: 32,
  num_hidden_layers: 32,
  num_key_value_heads: 32,
  original_max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_scaling: {
    long_factor: Array<number>(48).fill(64.8),
    short_factor: [1.05, ...Array<number>(47).fill(2)],
    type: "su",
  },
  rope_theta: 10000,
  vocab_size: 32064,
};
const VAE = {
  block_out_channels: [128, 256, 512, 512],
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  scaling_factor: 0.13025,
};
const published = { "config.json": PUBLISHED, "vae/config.json": VAE };

describe("parseOmniGenConfig", () => {
  test("reads the published sizes", () => {
    const config = parseOmniGenConfig(published, NONE);
    expect(config).toMatchObject({
      patchSize: 2,
      gridSize: 192,
      defaultSize: 1024,
      timeWidth: 256,
      tokenPixels: 16,
      vaeScalingFactor: 0.13025,
      vaeShiftFactor: 0,
      names: "authors",
      language: { hiddenSize: 3072, layers: 32, heads: 32, kvHeads: 32, headDim: 96 },
    });
  });

  test("takes a default size in latents", () => {
    const config = { ...PUBLISHED, sample_size: 8 };
    const { defaultSize } = parseOmniGenConfig({ ...published, "config.json": config }, NONE);
    expect(defaultSize).toBe(64);
  });

  test("declares the published tensors with their shapes", () => {
    const weights = omniGen.declareWeights(parseOmniGenConfig(published, NONE), "f32");
    const shapeOf = (name: string) =>
      weights.find(({ tensor }) => tensor === name)?.sourceShape.join();
    expect({
      embed: shapeOf("llm.embed_tokens.weight"),
      qkv: shapeOf("llm.layers.31.self_attn.qkv_proj.weight"),
      up: shapeOf("llm.layers.0.mlp.gate_up_proj.weight"),
      norm: shapeOf("llm.norm.weight"),
      input: shapeOf("input_x_embedder.proj.weight"),
      time: shapeOf("time_token.mlp.0.weight"),
      final: shapeOf("final_layer.adaLN_modulation.1.weight"),
      encoder: shapeOf("encoder.conv_out.weight"),
    }).toEqual({
      embed: "32064,3072",
      qkv: "9216,3072",
      up: "16384,3072",
      norm: "3072",
      input: "3072,4,2,2",
      time: "3072,256",
      final: "6144,3072",
      encoder: "8,512,3,3",
    });
  });

  test("reads diffusers' keys, and names weights as its model does", () => {
    const { config, names } = readOmniGenGoldens("a").json.diffusers;
    const twin = {
      ...files,
      "config.json": { ...config, _class_name: "OmniGenTransformer2DModel" },
    };
    const parsed = parseOmniGenConfig(twin, new Set(names));
    expect(isOmniGenConfig(twin["config.json"])).toBe(true);
    expect({ ...parsed, names: "authors" }).toEqual(parseOmniGenConfig(files, NONE));
    const declared = omniGen
      .declareWeights(parsed, "f32")
      .filter(({ companion }) => companion === "")
      .map(({ tensor }) => tensor);
    const unused = names.filter((name) => !declared.includes(name));
    expect(unused).toEqual(["patch_embedding.pos_embed"]);
    expect(declared.filter((name) => !names.includes(name))).toEqual([]);
  });

  test.each([
    ["another rope", { rope_scaling: { ...PUBLISHED.rope_scaling, type: "yarn" } }],
    ["another activation", { hidden_act: "gelu" }],
    ["biases", { attention_bias: true }],
  ])("refuses %s", (_, change) => {
    const changed = { ...published, "config.json": { ...PUBLISHED, ...change } };
    expect(() => parseOmniGenConfig(changed, NONE)).toThrow(
      expect.objectContaining({ code: "unsupported-model" }),
    );
  });

  test("refuses factors of another length", () => {
    const scaling = { ...PUBLISHED.rope_scaling, short_factor: [1] };
    const changed = { ...published, "config.json": { ...PUBLISHED, rope_scaling: scaling } };
    expect(() => parseOmniGenConfig(changed, NONE)).toThrow(/short_factor/);
  });

  test("says checkpoint-invalid or unsupported-model of damaged files, and nothing else", () => {
    for (let seed = 0; seed < 300; seed++) {
      const name = seed % 2 === 0 ? "config.json" : "vae/config.json";
      try {
        parseOmniGenConfig({ ...files, [name]: damageJson(files[name], seed) }, NONE);
      } catch (error) {
        expect(error).toHaveProperty("code", expect.stringMatching(/checkpoint-|unsupported-/));
      }
    }
  });
});

describe("isOmniGenConfig", () => {
  test("knows a Phi-3 with scaled rope, and no LLaMA", () => {
    expect(isOmniGenConfig(PUBLISHED)).toBe(true);
    expect(isOmniGenConfig({ ...PUBLISHED, model_type: "llama" })).toBe(false);
  });
});

describe("tables", () => {
  const config = parseOmniGenConfig(published, NONE);

  test("patch positions are the reference's at 1024 and 512 pixels", () => {
    const large = axisTable(config, 64);
    const expected = [0.611389, 0.790809, -0.79133];
    [0, 1, 768].forEach((at, k) => expect(large[at]).toBeCloseTo(expected[k] ?? 0, 5));
    expect(axisTable(config, 32)[0]).toBeCloseTo(0.99932, 5);
  });

  test("rotations of short and long sequences, both scaled", () => {
    const { cos, sin } = longRopeTables(config.rope, 3);
    const scale = 1.1902380714;
    expect(cos[0]).toBeCloseTo(scale, 6);
    expect(sin[48]).toBeCloseTo(scale * Math.sin(1 / 1.05), 6);
    expect(sin[48 * 4]).toBeCloseTo(scale * Math.sin(1 / 64.8), 6);
  });
});
