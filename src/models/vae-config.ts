// The config.json of a diffusers AutoencoderKL -> the sizes of an autoencoder and how its latents are scaled.
import type { VaeConfig } from "../graph/blocks/vae.ts";
import type { ConfigReader } from "./config-reader.ts";

/** An autoencoder and the numbers between its latents and those of a flow. */
export interface ScaledVaeConfig {
  readonly vae: VaeConfig;
  /** flow latents = (autoencoder latents - shift) * factor */
  readonly vaeScalingFactor: number;
  readonly vaeShiftFactor: number;
}

/** Absent keys are the library's defaults. @throws ModelError checkpoint-invalid */
export function readVaeConfig(config: ConfigReader): ScaledVaeConfig {
  return {
    vae: {
      blockOutChannels: config.integers("block_out_channels", { max: 8192 }),
      layersPerBlock: config.integer("layers_per_block", { max: 16, fallback: 1 }),
      normNumGroups: config.integer("norm_num_groups", { max: 1024, fallback: 32 }),
      latentChannels: config.integer("latent_channels", { max: 1024, fallback: 4 }),
      useQuantConv: config.flag("use_quant_conv", true),
      usePostQuantConv: config.flag("use_post_quant_conv", true),
      midAttention: config.flag("mid_block_add_attention", true),
    },
    vaeScalingFactor: config.number("scaling_factor", { min: 1e-6, max: 1e6, fallback: 0.18215 }),
    vaeShiftFactor: config.number("shift_factor", { min: -1e6, max: 1e6, fallback: 0 }),
  };
}
