// JanusFlow's config.json, processor_config.json and its VAE's config.json -> one checked configuration.
import { fail } from "../../base/errors.ts";
import type { PreprocessOptions } from "../../pixels/preprocess.ts";
import type { LlamaConfig } from "../../graph/blocks/llama.ts";
import type { SiglipConfig } from "../../graph/blocks/siglip.ts";
import type { VaeConfig } from "../../graph/blocks/vae.ts";
import { readLlamaConfig } from "../llama-config.ts";
import { ConfigReader } from "../config-reader.ts";
import type { CheckpointFiles } from "../family.ts";
import { readVaeConfig } from "../vae-config.ts";
import { readPreprocess, readSiglipConfig } from "../siglip-config.ts";
import { MAX_WIDTH, MAX_TOWER_LAYERS, MAX_LATENT_CHANNELS } from "../size-limits.ts";

/** Sizes of the convolutional encoder and decoder around the core. */
export interface UvitSizes {
  readonly latentChannels: number;
  readonly patchSize: number;
  readonly channels: number;
  readonly blocks: number;
  readonly normEps: number;
}

/** Strings of the processor that mark pictures in a prompt. */
export interface ImageTags {
  readonly image: string;
  readonly generation: string;
  readonly start: string;
  readonly end: string;
}

/** Everything that JanusFlow's graphs and prompts depend on. */
export interface JanusFlowConfig {
  readonly language: LlamaConfig;
  readonly vision: SiglipConfig;
  readonly preprocess: PreprocessOptions;
  readonly encoder: UvitSizes;
  readonly decoder: UvitSizes;
  readonly vae: VaeConfig;
  /** Divides the latents before they are decoded. */
  readonly vaeScalingFactor: number;
  /** [channels, height, width] of one picture's latents. */
  readonly latentShape: readonly [number, number, number];
  /** Pixels. */
  readonly imageSize: number;
  readonly tags: ImageTags;
}

/** Latents of a patch along a side, and of the kernel that makes it. */
const MAX_STRIDE = 16;

/** True for a config.json of JanusFlow: the multi_modality architecture with a ShallowUViT encoder. */
export function isJanusFlowConfig(configJson: unknown): boolean {
  const config = new ConfigReader(configJson, "config.json");
  return (
    config.text("model_type", "") === "multi_modality" &&
    config.section("vision_gen_enc_config").text("cls", "").endsWith("ShallowUViTEncoder")
  );
}

/**
 * The configuration of a JanusFlow checkpoint.
 *
 * @throws ModelError checkpoint-invalid when a file is missing or a value is absurd
 * @throws ModelError unsupported-model when the architecture asks for what JanusFlow's code does not do
 */
export function parseJanusFlowConfig(files: CheckpointFiles): JanusFlowConfig {
  const config = new ConfigReader(files["config.json"], "config.json");
  const vision = readSiglipConfig(
    config.section("vision_und_enc_config").section("params"),
    "vision_und_enc_model.vision_tower.",
  );
  const encoder = readUvit(
    config.section("vision_gen_enc_config").section("params"),
    "input_channels",
  );
  const decoder = readUvit(
    config.section("vision_gen_dec_config").section("params"),
    "out_channels",
  );
  const { vae, vaeScalingFactor } = readVaeConfig(
    new ConfigReader(files["vae/config.json"], "vae/config.json"),
  );
  // The picture is as large as the pictures that the core sees: 384 for the published checkpoint, whose
  // code writes the latents' 48 x 48 as a constant.
  const imageSize = vision.imageSize;
  const latentSize = imageSize / 2 ** (vae.blockOutChannels.length - 1);
  if (!Number.isInteger(latentSize / encoder.patchSize)) {
    throw fail(
      "checkpoint-invalid",
      `A ${imageSize} px picture has no whole number of ${encoder.patchSize} x ${encoder.patchSize} latent patches.`,
    );
  }
  return {
    language: readLlamaConfig(config.section("language_config"), "language_model."),
    vision,
    preprocess: readPreprocess(files["preprocessor_config.json"], vision.imageSize),
    encoder,
    decoder,
    vae,
    vaeScalingFactor,
    latentShape: [encoder.latentChannels, latentSize, latentSize],
    imageSize,
    tags: readTags(files["processor_config.json"]),
  };
}

function readUvit(params: ConfigReader, channelsKey: string): UvitSizes {
  const channels = params.integers("block_out_channels", { max: MAX_WIDTH, fallback: [768] });
  const isEncoder = channelsKey === "input_channels";
  const patchSize = isEncoder ? params.integer("stride", { max: MAX_STRIDE, fallback: 4 }) : 2;
  const kernel = isEncoder
    ? params.integer("kernel_size", { max: MAX_STRIDE, fallback: 7 })
    : patchSize;
  const upsamples = isEncoder ? 1 : params.integer("upsamples", { max: 8, fallback: 2 });
  if (channels.length !== 1 || kernel !== patchSize || upsamples !== 1) {
    throw fail(
      "unsupported-model",
      `This ShallowUViT has ${channels.length} levels, kernel ${kernel}, stride ${patchSize} and ${upsamples} upsamplings; ` +
        "one level, kernel = stride and one upsampling are supported (JanusFlow-1.3B's).",
    );
  }
  return {
    latentChannels: params.integer(channelsKey, { max: MAX_LATENT_CHANNELS, fallback: 3 }),
    patchSize,
    channels: channels[0] ?? 768,
    blocks: params.integer("layers_in_middle", { max: MAX_TOWER_LAYERS, fallback: 2 }),
    normEps: params.number("norm_eps", { min: 0, max: 1, fallback: 1e-6 }),
  };
}

function readTags(json: unknown): ImageTags {
  const reader = new ConfigReader(json ?? {}, "processor_config.json");
  return {
    image: reader.text("image_tag", "<image_placeholder>"),
    generation: reader.text("image_gen_tag", "<｜begin▁of▁generation｜>"),
    start: reader.text("image_start_tag", "<begin_of_image>"),
    end: reader.text("image_end_tag", "<end_of_image>"),
  };
}
