import { describe, expect, test } from "vitest";
import { isNexusGenConfig, parseNexusGenConfig } from "../../../../src/models/nexus-gen/config.ts";
import { EveryName } from "../../../../src/cli/read-config.ts";
import { nexusGenGraphs } from "../../../../src/models/nexus-gen/stages.ts";

// modelscope/Nexus-GenV2's config.json as its authors published it, without what no graph depends on.
const PUBLISHED = {
  architectures: ["Qwen2_5_VLForConditionalGeneration"],
  bos_token_id: 151643,
  eos_token_id: 151645,
  hidden_act: "silu",
  hidden_size: 3584,
  image_token_id: 151655,
  intermediate_size: 18944,
  max_position_embeddings: 128000,
  model_type: "qwen2_5_vl",
  num_attention_heads: 28,
  num_hidden_layers: 28,
  num_key_value_heads: 4,
  rms_norm_eps: 1e-6,
  rope_scaling: { mrope_section: [16, 24, 24], rope_type: "default", type: "default" },
  rope_theta: 1000000.0,
  tie_word_embeddings: false,
  use_sliding_window: false,
  vision_config: { hidden_size: 1280, in_chans: 3, spatial_patch_size: 14, tokens_per_second: 2 },
  vision_end_token_id: 151653,
  vision_start_token_id: 151652,
  vision_token_id: 151654,
  vocab_size: 152064,
};
const CORE = ["vision_head.weight", "constants/pooled", "constants/negative"];
const V2 = new Set([
  ...CORE,
  "image_prefill_embeds.weight",
  "generation_decoder/pipe.dit.x_embedder.weight",
  "edit_decoder/pipe.dit.x_embedder.weight",
]);
const V1 = new Set([...CORE, "decoder_81_512/x_embedder.weight"]);
const parse = (change: object = {}, tensors: ReadonlySet<string> = V2) =>
  parseNexusGenConfig({ "config.json": { ...PUBLISHED, ...change } }, tensors);

describe("detection", () => {
  test("takes Nexus-Gen, and no Qwen2.5-VL", () => {
    expect(isNexusGenConfig(PUBLISHED)).toBe(true);
    const { vision_token_id: _, ...qwen } = PUBLISHED;
    expect(isNexusGenConfig(qwen)).toBe(false);
    expect(isNexusGenConfig({ ...PUBLISHED, model_type: "qwen2_vl" })).toBe(false);
    expect(isNexusGenConfig({})).toBe(false);
  });
});

describe("the published checkpoint", () => {
  test("has the sizes that its authors write down", () => {
    expect(parse()).toMatchObject({
      language: {
        hiddenSize: 3584,
        layers: 28,
        heads: 28,
        kvHeads: 4,
        headDim: 128,
        qkvBias: true,
      },
      mropeSection: [16, 24, 24],
      vision: { width: 1280, layers: 32, heads: 16, intermediateSize: 3420, windowSize: 112 },
      grid: 9,
      sourceGrid: 18,
      hasPrefillTable: true,
      generation: { flux: { hiddenSize: 3072, heads: 24, layers: 19, singleLayers: 38 } },
      editing: { adapterPrefix: "edit_decoder/embedding_merger." },
      seen: { maxPixels: 262640, squareSide: 0, processorMinPixels: 3136 },
      width: 512,
    });
  });

  test("is V2 where only its config.json is known", () => {
    expect(parse({}, new EveryName())).toEqual(parse());
  });

  test("stores every tensor of both decoders and the core, each once", () => {
    const graphs = nexusGenGraphs(parse(), { float: "f32", quantization: "f32" });
    const count = (stage: string, prefix: string): number => {
      const own = Object.entries(graphs).filter(([name]) => name.startsWith(stage));
      const weights = own.flatMap(([, all]) => all.flatMap((graph) => graph.weights));
      const names = weights.filter(({ companion }) => companion === "").map(({ tensor }) => tensor);
      return new Set(names.filter((name) => name.startsWith(prefix))).size;
    };
    expect(count("core", "")).toBe(731);
    expect(count("generation", "generation_decoder/")).toBe(788);
    expect(count("editing", "edit_decoder/")).toBe(799);
  });

  test("draws in 50 steps with guidance 3, where the file says nothing else", () => {
    expect(parse()).toMatchObject({ steps: 50, guidance: 3 });
    const own = { nexus_gen: { num_inference_steps: 20, guidance_scale: 1 } };
    expect(parse(own)).toMatchObject({ steps: 20, guidance: 1 });
  });

  test("of V1 has one decoder without prefixes and no table", () => {
    expect(parse({}, V1)).toMatchObject({
      hasPrefillTable: false,
      generation: { adapterPrefix: "decoder_81_512/", flux: { prefix: "decoder_81_512/" } },
      seen: { squareSide: 512 },
    });
    expect(parse({}, V1).editing).toBeUndefined();
  });
});

describe("what is refused", () => {
  test.each([
    { change: { rope_scaling: { mrope_section: [16, 24, 20] } }, code: "checkpoint-invalid" },
    { change: { num_key_value_heads: 5 }, code: "checkpoint-invalid" },
    { change: { vision_config: { num_heads: 15 } }, code: "checkpoint-invalid" },
    { change: { hidden_size: "many" }, code: "checkpoint-invalid" },
    { change: { nexus_gen: { decoder: { heads: 23 } } }, code: "checkpoint-invalid" },
    { change: { rope_scaling: { rope_type: "yarn" } }, code: "unsupported-model" },
    { change: { use_sliding_window: true }, code: "unsupported-model" },
    { change: { tie_word_embeddings: true }, code: "unsupported-model" },
  ])("$change", ({ change, code }) => {
    expect(() => parse(change)).toThrow(expect.objectContaining({ code }));
  });

  test("a checkpoint without decoders, or without the encoded empty prompts", () => {
    expect(() => parse({}, new Set(CORE))).toThrow("generation_decoder.bin");
    const lacking = new Set([...V2].filter((name) => !name.startsWith("constants/")));
    expect(() => parse({}, lacking)).toThrow("constants.safetensors");
  });
});
