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

/** Checkpoints by the name that they are known by. */
export const PUBLISHED: Readonly<Record<string, PublishedCheckpoint>> = {
  "JanusFlow-1.3B": JANUS_FLOW,
};
