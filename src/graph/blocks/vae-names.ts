// What checkpoints call the parts of a convolutional autoencoder. The networks are the same; three code
// bases named them.

/** Names of one code base. `#` stands for the number of a level or of a block in it. */
export interface AutoencoderNames {
  /** One level of the encoder, level 0 the highest resolution. */
  readonly down: string;
  /** One level of the decoder. */
  readonly up: string;
  /** Which level is 0 in the decoder. */
  readonly upStartsAt: "deepest" | "finest";
  /** The blocks between encoder and decoder: residual, attention, residual. */
  readonly middle: readonly [string, string, string];
  readonly residual: string;
  readonly attention: string;
  readonly downsample: string;
  readonly upsample: string;
  readonly shortcut: string;
  readonly normOut: string;
  readonly attentionNorm: string;
  /** Names of the query, key, value and output projections; the second and later are older ones. */
  readonly projections: Readonly<Record<"q" | "k" | "v" | "out", readonly string[]>>;
}

/** diffusers: AutoencoderKL (SDXL, FLUX). */
export const DIFFUSERS_NAMES: AutoencoderNames = {
  down: "down_blocks.#.",
  up: "up_blocks.#.",
  upStartsAt: "deepest",
  middle: ["mid_block.resnets.0.", "mid_block.attentions.0.", "mid_block.resnets.1."],
  residual: "resnets.#.",
  attention: "attentions.#.",
  downsample: "downsamplers.0.conv",
  upsample: "upsamplers.0.conv",
  shortcut: "conv_shortcut",
  normOut: "conv_norm_out",
  attentionNorm: "group_norm",
  projections: {
    q: ["to_q", "query"],
    k: ["to_k", "key"],
    v: ["to_v", "value"],
    out: ["to_out.0", "proj_attn"],
  },
};

/**
 * taming-transformers and latent diffusion (Chameleon's VQ-GAN, FLUX's ae.safetensors).
 *
 * @see https://github.com/CompVis/taming-transformers/blob/3ba01b2/taming/modules/diffusionmodules/model.py#L342
 */
export const TAMING_NAMES: AutoencoderNames = {
  down: "down.#.",
  up: "up.#.",
  upStartsAt: "finest",
  middle: ["mid.block_1.", "mid.attn_1.", "mid.block_2."],
  residual: "block.#.",
  attention: "attn.#.",
  downsample: "downsample.conv",
  upsample: "upsample.conv",
  shortcut: "nin_shortcut",
  normOut: "norm_out",
  attentionNorm: "norm",
  projections: { q: ["q"], k: ["k"], v: ["v"], out: ["proj_out"] },
};

/**
 * Janus, whose VQ-GAN is LlamaGen's.
 *
 * @see https://github.com/deepseek-ai/Janus/blob/1daa72f/janus/models/vq_model.py
 */
export const JANUS_NAMES: AutoencoderNames = {
  ...TAMING_NAMES,
  down: "conv_blocks.#.",
  up: "conv_blocks.#.",
  upStartsAt: "deepest",
  middle: ["mid.0.", "mid.1.", "mid.2."],
  residual: "res.#.",
};

/**
 * Janus as transformers stores it: taming's names, the decoder's levels still counted from the deepest.
 *
 * @see https://github.com/huggingface/transformers/blob/v4.51.3/src/transformers/models/janus/modeling_janus.py
 */
export const TRANSFORMERS_JANUS_NAMES: AutoencoderNames = {
  ...TAMING_NAMES,
  upStartsAt: "deepest",
};
