// A JanusFlow of any size with random weights, as the files of its folder: for measuring sizes that no
// embedded model has. It draws noise, at the speed of the real thing.
import { parseJanusFlowConfig } from "../../src/models/janus-flow/config.ts";
import { janusFlow } from "../../src/models/janus-flow/index.ts";
import { safetensorsFile, weights, type TinyTensor } from "./tiny-checkpoint.ts";

/** Sizes of a random JanusFlow. The picture is `imageSize` pixels wide and high. */
export interface RandomSizes {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  readonly visionWidth: number;
  readonly visionLayers: number;
  readonly flowChannels: number;
  readonly imageSize: number;
  readonly vaeChannels: readonly number[];
}

/** Some four times the embedded model, 96 x 96 pixels: 36 image tokens. */
export const LARGER: RandomSizes = {
  hiddenSize: 192,
  layers: 6,
  heads: 6,
  intermediateSize: 512,
  visionWidth: 192,
  visionLayers: 4,
  flowChannels: 128,
  imageSize: 96,
  vaeChannels: [8, 16, 32, 48],
};

/**
 * The checkpoint's files by path. Tokenizer and processor files are those of a checkpoint that exists.
 *
 * @param sideFiles - tokenizer.json, tokenizer_config.json, processor_config.json as text, by name
 */
export function randomJanusFlow(
  sizes: RandomSizes,
  sideFiles: Readonly<Record<string, string>>,
): Map<string, string | Uint8Array<ArrayBuffer>> {
  const { vocab_size: vocabularySize } = parse(sideFiles["config.json"])["language_config"] as {
    vocab_size: number;
  };
  const json: Record<string, unknown> = {
    "config.json": configJson(sizes, vocabularySize),
    "vae/config.json": vaeJson(sizes),
  };
  for (const name of ["tokenizer.json", "tokenizer_config.json", "processor_config.json"]) {
    json[name] = parse(sideFiles[name]);
  }
  const declarations = janusFlow.declareWeights(parseJanusFlowConfig(json), "f32");
  const tensorsOf = (companion: string): Record<string, TinyTensor> =>
    Object.fromEntries(
      declarations
        .filter((weight) => weight.companion === companion)
        .map(({ tensor, sourceShape }, index) => [
          tensor,
          randomTensor(tensor, sourceShape, index),
        ]),
    );
  const texts = Object.entries(json).map(([path, value]) => [path, JSON.stringify(value)] as const);
  return new Map<string, string | Uint8Array<ArrayBuffer>>([
    ...texts,
    ["model.safetensors", safetensorsFile(tensorsOf(""))],
    ["vae/diffusion_pytorch_model.safetensors", safetensorsFile(tensorsOf("vae"))],
  ]);
}

// Norms around one, matrices with the gain of one: signals neither vanish nor explode.
function randomTensor(name: string, shape: readonly number[], seed: number): TinyTensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
  const isNorm = shape.length === 1 && /norm|group_norm/.test(name) && name.endsWith(".weight");
  const values = weights(count, seed + 1, isNorm ? 0.1 : 1.2 / Math.sqrt(fanIn));
  return { dtype: "BF16", shape, values: isNorm ? values.map((value) => 1 + value) : values };
}

function configJson(sizes: RandomSizes, vocabularySize: number): object {
  const { hiddenSize, flowChannels } = sizes;
  const uvit = {
    block_out_channels: [flowChannels],
    hidden_size: hiddenSize,
    layers_in_middle: 2,
    norm_eps: 1e-6,
    use_bias: true,
    use_mid_block: true,
  };
  return {
    model_type: "multi_modality",
    language_config: {
      model_type: "llama",
      hidden_size: hiddenSize,
      intermediate_size: sizes.intermediateSize,
      num_hidden_layers: sizes.layers,
      num_attention_heads: sizes.heads,
      num_key_value_heads: sizes.heads,
      max_position_embeddings: 1024,
      vocab_size: vocabularySize,
    },
    vision_und_enc_config: {
      cls: "CLIPVisionTower",
      params: {
        image_size: sizes.imageSize,
        model_name: "siglip_random",
        select_layer: -1,
        patch_size: 16,
        width: sizes.visionWidth,
        layers: sizes.visionLayers,
        heads: sizes.visionWidth / 32,
        mlp_ratio: 4,
      },
    },
    vision_gen_enc_config: {
      cls: "ShallowUViTEncoder",
      params: { ...uvit, input_channels: 4, kernel_size: 2, stride: 2, padding: 0 },
    },
    vision_gen_dec_config: {
      cls: "ShallowUViTDecoder",
      params: { ...uvit, in_channels: flowChannels, out_channels: 4, upsamples: 1 },
    },
  };
}

function vaeJson({ vaeChannels }: RandomSizes): object {
  return {
    block_out_channels: vaeChannels,
    latent_channels: 4,
    layers_per_block: 1,
    norm_num_groups: 8,
    scaling_factor: 0.5,
  };
}

function parse(text: string | undefined): Record<string, unknown> {
  if (text === undefined) throw new Error("a side file is missing");
  return JSON.parse(text) as Record<string, unknown>;
}
