import { describe, expect, test } from "vitest";
import {
  codesPerPicture,
  isChameleonConfig,
  parseChameleonConfig,
} from "../../../../src/models/chameleon/config.ts";
import { readGeneration } from "../../../../src/models/chameleon/generation.ts";
import { chameleonCapabilities } from "../../../../src/models/chameleon/stages.ts";
import { chameleonFolder, readChameleonGoldens } from "../../../support/chameleon-goldens.ts";
import { readCheckpointFiles } from "../../../support/checkpoint-files.ts";

const CODES = 8192;
const DECODER = ["post_quant_conv.weight", "decoder.conv_in.weight"];
const withDecoder = new Set(DECODER.map((name) => `model.vqmodel.${name}`));

/** As facebook/chameleon-7b has it; the names that matter and one piece of text. */
function publishedVocabulary(): Record<string, number> {
  const code = (index: number): string =>
    `IMGIMG${String(index).replaceAll(/\d/g, (digit) => "ABCDEFGHIJ"[Number(digit)] ?? "")}Z`;
  const marks = { "<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<eoss>": 8196 };
  const codes = Array.from({ length: CODES }, (_, index) => [code(index), 4 + index]);
  return {
    ...marks,
    ...(Object.fromEntries(codes) as Record<string, number>),
    "<racm3:break>": 8197,
    "<reserved08706>": 8710,
    "<image>": 8711,
    "!": 16384,
    "<": 16385,
    "</": 16386,
  };
}

const PUBLISHED = {
  model_type: "chameleon",
  architectures: ["ChameleonForConditionalGeneration"],
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 32,
  rope_scaling: null,
  swin_norm: false,
  vq_config: { attn_resolutions: null, channel_multiplier: [1, 1, 2, 2, 4] },
  vocabulary_map: publishedVocabulary(),
};

function parse(change: object, tensors = new Set<string>()) {
  const files = { "config.json": { ...PUBLISHED, ...change }, "tokenizer.json": {} };
  return parseChameleonConfig(files, tensors);
}

describe("parseChameleonConfig", () => {
  test("reads the published sizes and transformers' defaults", () => {
    const config = parse({});
    expect(config.language).toMatchObject({
      headDim: 128,
      vocabularySize: 65536,
      maxPositions: 4096,
      rmsNormEps: 1e-5,
      ropeTheta: 10000,
    });
    expect(config.vq).toMatchObject({ blockOutChannels: [128, 128, 256, 256, 512] });
    expect(config.codebook).toMatchObject({ codes: 8192, width: 256 });
    expect(config).toMatchObject({ imageSize: 512, grid: [32, 32] });
    expect(codesPerPicture(config)).toBe(1024);
  });

  test("samples as the reference does where no file says otherwise", () => {
    const scales = { guidance: 3, imageGuidance: 1.2 };
    const own = { repetitionPenalty: 1.2, topP: 0.9, drawing: scales, editing: scales };
    expect(parse({}).generation).toEqual(own);
    expect(readGeneration({ temperature: 0.7, top_p: 0.8 })).toEqual(own);
  });

  test("takes what a checkpoint says of sampling", () => {
    const editing = { guidance_scale: 1, image_guidance_scale: 1 };
    const image_generation = { top_p: 1, guidance_scale: 2, editing };
    expect(readGeneration({ repetition_penalty: 1, image_generation })).toEqual({
      repetitionPenalty: 1,
      topP: 1,
      drawing: { guidance: 2, imageGuidance: 1.2 },
      editing: { guidance: 1, imageGuidance: 1 },
    });
    expect(() => readGeneration({ image_generation: { top_p: 0 } })).toThrow("top_p");
  });

  test("tells ids apart by their names", () => {
    const { vocabulary } = parse({});
    expect(vocabulary).toMatchObject({ bos: 0, eos: 2, eoi: 8196, boi: 8197, eot: 8710 });
    expect([vocabulary.codeIds[0], vocabulary.codeIds[53], vocabulary.codeIds[8191]]).toEqual([
      4, 57, 8195,
    ]);
    expect(vocabulary.textIds).toEqual([16384, 16385]);
    expect(vocabulary.controls).toContain("IMGIMGFDZ");
    expect(vocabulary.controls).not.toContain("</");
  });

  test.each(["anole", "chameleon"] as const)("agrees with Meta's vocabulary: %s", (name) => {
    const { json } = readChameleonGoldens(name);
    const files = readCheckpointFiles(new URL("checkpoint/", chameleonFolder(name)));
    const { vocabulary } = parseChameleonConfig(files, new Set());
    expect(vocabulary.codeIds).toEqual(json.tokens.image);
    expect([...vocabulary.textIds].toSorted((a, b) => a - b)).toEqual(json.tokens.text);
    const { bos, eos, boi, eoi, eot } = json.tokens;
    expect(vocabulary).toMatchObject({ bos, eos, boi, eoi, eot });
  });

  test("takes the tokenizer's vocabulary where the config has none", () => {
    const { vocabulary_map: vocab, ...rest } = PUBLISHED;
    const files = { "config.json": rest, "tokenizer.json": { model: { vocab } } };
    expect(parseChameleonConfig(files, new Set())).toEqual(parse({}));
  });

  test("draws where the decoder was published", () => {
    expect(chameleonCapabilities(parse({}))).toMatchObject({ generateText: true, converse: false });
    expect(chameleonCapabilities(parse({}, withDecoder))).toMatchObject({ generateImage: true });
  });

  test("reads attention inside a level by its resolution", () => {
    const config = parse({ vq_config: { attn_resolutions: [64, 32] } });
    expect(config.vq.attentionLevels).toEqual([3, 4]);
    expect(parse({ vq_config: { attn_resolutions: [] } }).vq.attentionLevels).toEqual([]);
  });

  test.each([
    ["the norms of the 30B model", { swin_norm: true }],
    ["scaled rope", { rope_scaling: { type: "linear", factor: 2 } }],
    ["doubled latents", { vq_config: { double_latent: true } }],
  ])("refuses %s as unsupported-model", (_, change) => {
    expect(() => parse(change)).toThrow(expect.objectContaining({ code: "unsupported-model" }));
  });

  test.each([
    ["no mark of a picture", { "<racm3:break>": undefined }],
    ["a code left out", { IMGIMGFDZ: undefined }],
    ["an id beyond the head", { "!": 65536 }],
    ["text for an id", { "!": "16384" }],
  ])("refuses a vocabulary with %s as checkpoint-invalid", (_, change) => {
    const entries = Object.entries({ ...PUBLISHED.vocabulary_map, ...change });
    const map = Object.fromEntries(entries.filter(([, id]) => id !== undefined));
    expect(() => parse({ vocabulary_map: map })).toThrow(
      expect.objectContaining({ code: "checkpoint-invalid" }),
    );
  });

  test("refuses another number of codes than the codebook's", () => {
    expect(() => parse({ vq_config: { num_embeddings: 64 } })).toThrow(/64/);
  });
});

describe("parseChameleonConfig of Meta's params.json", () => {
  const SIZES = { dim: 4096, n_layers: 32, n_heads: 32, vocab_size: 65536, qk_normalization: true };
  const read = (change: object) => {
    const files = {
      "config.json": { model: { ...SIZES, ...change } },
      "tokenizer.json": { model: { vocab: PUBLISHED.vocabulary_map } },
    };
    return parseChameleonConfig(files, withDecoder);
  };

  test("has the sizes of transformers' config", () => {
    const { language, ...rest } = parse({}, withDecoder);
    expect(read({})).toEqual({
      ...rest,
      hasSharedHeadNorms: true,
      language: { ...language, interleaved: true },
    });
  });

  test("rounds the hidden layer up as Meta's code does", () => {
    const { language } = read({ ffn_dim_multiplier: 1.3, multiple_of: 1024 });
    expect(language.intermediateSize).toBe(14336);
  });

  test.each([
    ["the norms of the 30B model", { swin_norm: true }],
    ["a model in parts", { model_parallel_size: 4 }],
  ])("refuses %s as unsupported-model", (_, change) => {
    expect(() => read(change)).toThrow(expect.objectContaining({ code: "unsupported-model" }));
  });
});

describe("isChameleonConfig", () => {
  test("knows its own and no other", () => {
    expect(isChameleonConfig(PUBLISHED)).toBe(true);
    expect(isChameleonConfig({ model: { n_layers: 32, qk_normalization: true } })).toBe(true);
    expect(isChameleonConfig({ model: { n_layers: 32 } })).toBe(false);
    expect(isChameleonConfig({ model_type: "llama" })).toBe(false);
  });
});
