// The config.json of a diffusers AutoencoderKL -> the sizes of an autoencoder and how its latents are scaled.
import type { VaeConfig } from "../graph/blocks/vae.ts";
import { fail } from "../base/errors.ts";
import type { ConfigReader } from "./config-reader.ts";
import {
  MAX_CHANNELS,
  MAX_LATENT_CHANNELS,
  MAX_GROUPS,
  MAX_BLOCKS_PER_LEVEL,
  MAX_AUTOENCODER_LEVELS,
} from "./size-limits.ts";

/** An autoencoder and the numbers between its latents and those of a flow. */
export interface ScaledVaeConfig {
  readonly vae: VaeConfig;
  /** flow latents = (autoencoder latents - shift) * factor */
  readonly vaeScalingFactor: number;
  readonly vaeShiftFactor: number;
}

/**
 * The sizes, which go together.
 *
 * @param place - the file, for the message
 * @throws ModelError checkpoint-invalid for too many levels, or channels that are no whole number of groups
 */
export function checkedVae(vae: VaeConfig, place: string): VaeConfig {
  const { blockOutChannels, normNumGroups } = vae;
  const isWhole = blockOutChannels.every((channels) => channels % normNumGroups === 0);
  if (isWhole && blockOutChannels.length <= MAX_AUTOENCODER_LEVELS) return vae;
  throw fail(
    "checkpoint-invalid",
    `${place}: channels ${blockOutChannels.join(", ")} of an autoencoder must be multiples of its ` +
      `${normNumGroups} groups, in at most ${MAX_AUTOENCODER_LEVELS} levels.`,
    { place },
  );
}

/** Absent keys are the library's defaults. @throws ModelError checkpoint-invalid */
export function readVaeConfig(config: ConfigReader): ScaledVaeConfig {
  return {
    vae: checkedVae(
      {
        blockOutChannels: config.integers("block_out_channels", { max: MAX_CHANNELS }),
        layersPerBlock: config.integer("layers_per_block", {
          max: MAX_BLOCKS_PER_LEVEL,
          fallback: 1,
        }),
        normNumGroups: config.integer("norm_num_groups", { max: MAX_GROUPS, fallback: 32 }),
        latentChannels: config.integer("latent_channels", {
          max: MAX_LATENT_CHANNELS,
          fallback: 4,
        }),
        useQuantConv: config.flag("use_quant_conv", true),
        usePostQuantConv: config.flag("use_post_quant_conv", true),
        midAttention: config.flag("mid_block_add_attention", true),
      },
      "vae/config.json",
    ),
    vaeScalingFactor: config.number("scaling_factor", { min: 1e-6, max: 1e6, fallback: 0.18215 }),
    vaeShiftFactor: config.number("shift_factor", { min: -1e6, max: 1e6, fallback: 0 }),
  };
}
