// The configurations of published checkpoints, sizes only, and how many numbers those checkpoints hold.

/** A published checkpoint as its files tell it, without its weights. */
export interface PublishedCheckpoint {
  /** Id of the family that must recognise it. */
  readonly family: string;
  /** Parsed side files by path. */
  readonly files: Readonly<Record<string, unknown>>;
  /** What the repository holds, tensors that no task needs included. */
  readonly tensors: number;
  readonly parameters: number;
  /** Shapes of the tensors that no task needs, by name. */
  readonly unused: Readonly<Record<string, readonly number[]>>;
  /** Shapes of tensors that are read and that the authors do not publish. */
  readonly made?: Readonly<Record<string, readonly number[]>>;
  /** Numbers that a companion's declared tensors hold. */
  readonly companions?: Readonly<Record<string, number>>;
}

const SDXL_VAE = {
  block_out_channels: [128, 256, 512, 512],
  latent_channels: 4,
  layers_per_block: 2,
  norm_num_groups: 32,
  scaling_factor: 0.13025,
};

const LLAMA_1B = {
  hidden_size: 2048,
  intermediate_size: 5632,
  max_position_embeddings: 16384,
  model_type: "llama",
  num_attention_heads: 16,
  num_hidden_layers: 24,
  num_key_value_heads: 16,
  vocab_size: 102400,
};

const SIGLIP = {
  cls: "CLIPVisionTower",
  params: {
    image_size: 384,
    model_name: "siglip_large_patch16_384",
    select_feature: "same",
    select_layer: -1,
  },
};

// timm's attention pooling, which the authors' code builds and never runs.
function attentionPool(prefix: string): Record<string, readonly number[]> {
  const linear = (name: string, out: number, input: number): [string, number[]][] => [
    [`${prefix}.${name}.weight`, [out, input]],
    [`${prefix}.${name}.bias`, [out]],
  ];
  return Object.fromEntries([
    [`${prefix}.latent`, [1, 1, 1024]],
    ...linear("q", 1024, 1024),
    ...linear("kv", 2048, 1024),
    ...linear("proj", 1024, 1024),
    [`${prefix}.norm.weight`, [1024]],
    [`${prefix}.norm.bias`, [1024]],
    ...linear("mlp.fc1", 4096, 1024),
    ...linear("mlp.fc2", 1024, 4096),
  ]);
}

/** deepseek-ai/JanusFlow-1.3B: model.safetensors of 4.09 GB. */
const JANUS_FLOW: PublishedCheckpoint = {
  family: "janus-flow",
  files: {
    "config.json": {
      model_type: "multi_modality",
      language_config: LLAMA_1B,
      vision_und_enc_config: SIGLIP,
      vision_gen_enc_config: {
        cls: "ShallowUViTEncoder",
        params: {
          block_out_channels: [768],
          hidden_size: 2048,
          input_channels: 4,
          kernel_size: 2,
          layers_in_middle: 2,
          norm_eps: 1e-6,
          padding: 0,
          stride: 2,
        },
      },
      vision_gen_dec_config: {
        cls: "ShallowUViTDecoder",
        params: {
          block_out_channels: [768],
          hidden_size: 2048,
          in_channels: 768,
          layers_in_middle: 2,
          norm_eps: 1e-6,
          out_channels: 4,
          upsamples: 1,
        },
      },
    },
    "vae/config.json": SDXL_VAE,
  },
  tensors: 587,
  parameters: 2_046_367_504,
  unused: attentionPool("vision_und_enc_model.vision_tower.attn_pool"),
  companions: { vae: 49_490_199 },
};

/** Shitao/OmniGen-v1: model.safetensors of 15.50 GB in f32. */
const OMNIGEN: PublishedCheckpoint = {
  family: "omnigen",
  files: {
    "config.json": {
      model_type: "phi3",
      hidden_size: 3072,
      intermediate_size: 8192,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      hidden_act: "silu",
      rms_norm_eps: 1e-5,
      rope_theta: 10000,
      vocab_size: 32064,
      max_position_embeddings: 131072,
      original_max_position_embeddings: 4096,
      rope_scaling: {
        type: "su",
        short_factor: Array<number>(48).fill(1),
        long_factor: Array<number>(48).fill(1),
      },
    },
    "vae/config.json": SDXL_VAE,
  },
  tensors: 211,
  parameters: 3_875_318_800,
  unused: { pos_embed: [1, 36864, 3072] }, // computed
  companions: { vae: 83_653_863 },
};

/** leloy/Anole-7b-v0.1-hf: 14.30 GB, the core in bf16 and the tokenizer of pictures in f32. */
const ANOLE: PublishedCheckpoint = {
  family: "chameleon",
  files: {
    "config.json": {
      model_type: "chameleon",
      hidden_size: 4096,
      intermediate_size: 11008,
      num_attention_heads: 32,
      num_hidden_layers: 32,
      num_key_value_heads: 32,
      rms_norm_eps: 1e-5,
      vocab_size: 65536,
      vocabulary_map: chameleonVocabulary(),
      vq_config: { resolution: 512, base_channels: 128, channel_multiplier: [1, 1, 2, 2, 4] },
    },
  },
  tensors: 419 + 293,
  parameters: 7_082_385_283,
  unused: {},
};

// Ids 4 to 8195 are codes of pictures, whose names spell the code in letters.
function chameleonVocabulary(): Record<string, number> {
  const digits = "ABCDEFGHIJ";
  const codes = Array.from({ length: 8192 }, (_, code) => {
    const letters = String(code).replaceAll(/\d/g, (digit) => digits.charAt(Number(digit)));
    return [`IMGIMG${letters}Z`, code + 4] as const;
  });
  return {
    "<s>": 0,
    "<pad>": 1,
    "</s>": 2,
    "<unk>": 3,
    ...Object.fromEntries(codes),
    "<racm3:break>": 8197,
    "<eoss>": 8196,
    "<reserved08706>": 8710,
  };
}

/** modelscope/Nexus-GenV2: 16.61 GB of safetensors and two decoders of 23.87 and 24.52 GB. */
const NEXUS_GEN: PublishedCheckpoint = {
  family: "nexus-gen",
  files: {
    "config.json": {
      model_type: "qwen2_5_vl",
      hidden_size: 3584,
      intermediate_size: 18944,
      num_attention_heads: 28,
      num_hidden_layers: 28,
      num_key_value_heads: 4,
      hidden_act: "silu",
      rms_norm_eps: 1e-6,
      rope_theta: 1e6,
      rope_scaling: { mrope_section: [16, 24, 24], rope_type: "default", type: "default" },
      max_position_embeddings: 128000,
      use_sliding_window: false,
      tie_word_embeddings: false,
      vocab_size: 152064,
      vision_token_id: 151654,
      vision_config: {
        hidden_size: 1280,
        tokens_per_second: 2,
        in_chans: 3,
        spatial_patch_size: 14,
      },
    },
  },
  tensors: 731 + 788 + 799,
  parameters: 8_305_302_016 + 11_932_890_176 + 12_260_339_776,
  unused: {},
  made: { "constants/pooled": [768], "constants/negative": [512, 4096] },
  companions: { vae: 49_545_475 }, // its decoder
};

/** deepseek-ai/Janus-1.3B: model.safetensors of 4.18 GB; Janus-Pro-1B has the same sizes. */
const JANUS: PublishedCheckpoint = {
  family: "janus",
  files: { "config.json": janusConfig(2048, LLAMA_1B) },
  tensors: 882,
  parameters: 2_089_297_547,
  unused: unusedOfJanus(),
};

/** deepseek-ai/Janus-Pro-7B: two PyTorch archives of 14.84 GB; most sizes are LlamaConfig's defaults. */
const JANUS_PRO_7B: PublishedCheckpoint = {
  family: "janus",
  files: {
    "config.json": janusConfig(4096, {
      max_position_embeddings: 16384,
      model_type: "llama",
      num_hidden_layers: 30,
      torch_dtype: "bfloat16",
      vocab_size: 102400,
    }),
  },
  tensors: 936,
  parameters: 7_420_434_059,
  unused: unusedOfJanus(),
};

function janusConfig(hiddenSize: number, language: object): object {
  const aligner = (input: number) => ({
    cls: "MlpProjector",
    params: { depth: 2, input_dim: input, n_embed: hiddenSize, projector_type: "mlp_gelu" },
  });
  return {
    model_type: "multi_modality",
    language_config: language,
    vision_config: SIGLIP,
    aligner_config: aligner(1024),
    gen_aligner_config: aligner(8),
    gen_head_config: {
      cls: "vision_head",
      params: { image_token_embed: hiddenSize, image_token_size: 16384, n_embed: hiddenSize },
    },
    gen_vision_config: { cls: "VQ-16", params: { image_token_size: 16384, n_embed: 8 } },
  };
}

// The encoder of pictures, which only training needed, and what the codebook counted meanwhile.
function unusedOfJanus(): Record<string, readonly number[]> {
  const shapes: Record<string, readonly number[]> = {
    ...attentionPool("vision_model.vision_tower.attn_pool"),
  };
  const add = (name: string, weight: readonly number[]): void => {
    shapes[`gen_vision_model.${name}.weight`] = weight;
    shapes[`gen_vision_model.${name}.bias`] = weight.slice(0, 1);
  };
  const residual = (name: string, input: number, out: number): void => {
    add(`${name}.norm1`, [input]);
    add(`${name}.conv1`, [out, input, 3, 3]);
    add(`${name}.norm2`, [out]);
    add(`${name}.conv2`, [out, out, 3, 3]);
    if (input !== out) add(`${name}.nin_shortcut`, [out, input, 1, 1]);
  };
  const attention = (name: string): void => {
    add(`${name}.norm`, [512]);
    for (const part of ["q", "k", "v", "proj_out"]) add(`${name}.${part}`, [512, 512, 1, 1]);
  };
  const levels = [128, 128, 256, 256, 512];
  levels.forEach((channels, level) => {
    const name = `encoder.conv_blocks.${level}`;
    residual(`${name}.res.0`, levels[level - 1] ?? 128, channels);
    residual(`${name}.res.1`, channels, channels);
    if (level < 4) add(`${name}.downsample.conv`, [channels, channels, 3, 3]);
  });
  for (const name of ["conv_blocks.4.attn.0", "conv_blocks.4.attn.1", "mid.1"]) {
    attention(`encoder.${name}`);
  }
  for (const name of ["mid.0", "mid.2"]) residual(`encoder.${name}`, 512, 512);
  add("encoder.conv_in", [128, 3, 3, 3]);
  add("encoder.norm_out", [512]);
  add("encoder.conv_out", [256, 512, 3, 3]);
  add("quant_conv", [8, 256, 1, 1]);
  shapes["gen_vision_model.quantize.codebook_used"] = [65536];
  return shapes;
}

/** Checkpoints by the name that they are known by. */
export const PUBLISHED: Readonly<Record<string, PublishedCheckpoint>> = {
  "Janus-1.3B": JANUS,
  "Janus-Pro-7B": JANUS_PRO_7B,
  "JanusFlow-1.3B": JANUS_FLOW,
  "OmniGen-v1": OMNIGEN,
  "Anole-7b": ANOLE,
  "Nexus-GenV2": NEXUS_GEN,
};
