"""Two small random Pisces checkpoints in the layout of src/models/pisces/README.md."""

import json
import math

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, SiglipVisionConfig, SiglipVisionModel

BOS, EOT = "<|begin_of_text|>", "<|eot_id|>"
IMAGE_START, IMAGE_END = "<|reserved_special_token_0|>", "<|reserved_special_token_1|>"
# LLaMA-3's first special tokens, in its order.
SPECIAL = [
    BOS, "<|end_of_text|>", IMAGE_START, IMAGE_END, "<|finetune_right_pad_id|>", "<|reserved_special_token_2|>",
    "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", EOT, "<|python_tag|>",
]
# LLaMA-3's pre-tokenizer.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "user assistant system\n\nA small red fox sits in the autumn leaves.",
    "Describe the image in one sentence. The image shows a lake under a cloudy sky.",
    "Which of the two images is brighter, the first or the second? What is in this picture?",
    "A painting of a lighthouse at dusk, highly detailed, natural colors.",
    "It's the user's picture; they're asking what we'd say about it, aren't they?",
    "今天天气很好。 Привет, мир! Déjà vu, naïve café, 12345 67.89 %",
]

CHECKPOINTS = {
    "a": dict(
        seed=1,
        dtype=torch.bfloat16,
        shards=1,
        merges=60,
        # As LLaMA-3.1's file: rope_theta beside rope_scaling. Small enough for all three ranges to be seen.
        language=dict(
            model_type="llama", hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, rms_norm_eps=1e-5, max_position_embeddings=2048, rope_theta=500000.0,
            rope_scaling=dict(
                factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64,
                rope_type="llama3",
            ),
            tie_word_embeddings=False, hidden_act="silu", attention_bias=False, mlp_bias=False,
        ),
        vision=dict(
            model_type="siglip_vision_model", hidden_size=32, intermediate_size=44, num_hidden_layers=2,
            num_attention_heads=2, image_size=32, patch_size=8,
        ),
        feature_layer=None,
        vectors=6,
        vector_size=24,
        mean=None,
        unet=dict(
            sample_size=8, block_out_channels=[8, 8, 16], layers_per_block=2, transformer_layers_per_block=[1, 1, 2],
            attention_head_dim=[1, 1, 2], addition_time_embed_dim=8, norm_num_groups=4,
        ),
        vae=dict(block_out_channels=[8, 16], layers_per_block=2, norm_num_groups=8, sample_size=16),
        scheduler=True,
    ),
    "b": dict(
        seed=1,
        dtype=torch.float16,
        shards=2,
        merges=20,
        # As transformers 5 writes it.
        language=dict(
            model_type="llama", hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=3,
            num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6, max_position_embeddings=1024,
            rope_parameters=dict(rope_theta=10000.0, rope_type="default"), tie_word_embeddings=False,
        ),
        vision=dict(
            model_type="siglip_vision_model", hidden_size=24, intermediate_size=36, num_hidden_layers=3,
            num_attention_heads=3, image_size=45, patch_size=14,
        ),
        feature_layer=-2,
        vectors=4,
        vector_size=40,
        mean=[0.48145466, 0.4578275, 0.40821073],
        unet=dict(
            sample_size=16, block_out_channels=[8, 16], layers_per_block=1, transformer_layers_per_block=[1, 2],
            attention_head_dim=[1, 4], addition_time_embed_dim=4, norm_num_groups=2,
        ),
        vae=dict(block_out_channels=[8, 8, 16], layers_per_block=1, norm_num_groups=4, sample_size=64),
        scheduler=False,
    ),
}

SCHEDULER = dict(
    _class_name="EulerDiscreteScheduler", beta_end=0.012, beta_schedule="scaled_linear", beta_start=0.00085,
    interpolation_type="linear", num_train_timesteps=1000, prediction_type="epsilon", sample_max_value=1.0,
    set_alpha_to_one=False, skip_prk_steps=True, steps_offset=1, timestep_spacing="leading", trained_betas=None,
    use_karras_sigmas=False,
)


def model_config(spec, vocabulary):
    """config.json."""
    config = dict(
        architectures=["PiscesForConditionalGeneration"],
        model_type="pisces",
        text_config=dict(spec["language"], vocab_size=vocabulary),
        vision_config=spec["vision"],
        num_image_vectors=spec["vectors"],
        image_vector_size=spec["vector_size"],
    )
    if spec["feature_layer"] is not None:
        config["vision_feature_layer"] = spec["feature_layer"]
        config["image_start_token"], config["image_end_token"] = IMAGE_START, IMAGE_END
    return config


def unet_config(spec):
    """unet/config.json with the keys of SDXL's."""
    levels = len(spec["unet"]["block_out_channels"])
    cross = ["CrossAttnDownBlock2D"] * (levels - 1)
    ids = 6 * spec["unet"]["addition_time_embed_dim"]
    return dict(
        _class_name="UNet2DConditionModel", act_fn="silu", addition_embed_type="text_time", center_input_sample=False,
        cross_attention_dim=spec["vector_size"], down_block_types=["DownBlock2D", *cross], downsample_padding=1,
        flip_sin_to_cos=True, freq_shift=0, in_channels=4, mid_block_type="UNetMidBlock2DCrossAttn", norm_eps=1e-5,
        out_channels=4, projection_class_embeddings_input_dim=spec["vector_size"] + ids,
        up_block_types=[name.replace("Down", "Up") for name in [*cross, "DownBlock2D"]],
        upcast_attention=None, use_linear_projection=True, **spec["unet"],
    )


def vae_config(spec):
    """vae/config.json with the keys of stabilityai/sdxl-vae."""
    levels = len(spec["vae"]["block_out_channels"])
    return dict(
        _class_name="AutoencoderKL", act_fn="silu", down_block_types=["DownEncoderBlock2D"] * levels, force_upcast=True,
        in_channels=3, latent_channels=4, out_channels=3, scaling_factor=0.13025,
        up_block_types=["UpDecoderBlock2D"] * levels, **spec["vae"],
    )


def make_tokenizer(spec):
    """A byte-level BPE with LLaMA-3's pre-tokenizer and special tokens, trained on CORPUS."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PATTERN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + spec["merges"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False, special=True) for text in SPECIAL])
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True),
        processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        ),
    ])
    return tokenizer


class Pisces(torch.nn.Module):
    """Core, tower, projectors and head under the layout's names; everything that computes is transformers' own."""

    def __init__(self, config):
        super().__init__()
        language, vision = LlamaConfig(**config["text_config"]), SiglipVisionConfig(**config["vision_config"])
        vision._attn_implementation = "eager"
        hidden, size = language.hidden_size, config["image_vector_size"]
        self.language_model = LlamaForCausalLM(language)
        self.vision_tower = SiglipVisionModel(vision)
        self.understanding_projector = Projector(vision.hidden_size, hidden)
        self.generation_projector = Projector(size, hidden)
        self.generation_head = torch.nn.Linear(hidden, size, bias=False)


class Projector(torch.nn.Module):
    """Two linear layers with an exact GELU between."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.linear_1 = torch.nn.Linear(inputs, outputs)
        self.linear_2 = torch.nn.Linear(outputs, outputs)

    def forward(self, x):
        return self.linear_2(torch.nn.functional.gelu(self.linear_1(x)))


# transformers 5 drops the prefix that every published SigLIP file has.
TOWER, PUBLISHED_TOWER = "vision_tower.", "vision_tower.vision_model."


def published(name):
    """A name of `Pisces` in memory -> in the file."""
    if not name.startswith(TOWER) or name.startswith(PUBLISHED_TOWER):
        return name
    return PUBLISHED_TOWER + name.removeprefix(TOWER)


def random_weights(state, generator):
    """Random values for the tensors of a state dict, at scales that keep every stage alive and attention peaked."""

    def normal(tensor, std, mean=0.0):
        return torch.randn(tensor.shape, generator=generator) * std + mean

    weights = {}
    for name, tensor in state.items():
        leaf = name.rsplit(".", 1)[-1]
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1
        gain = next((gain for key, gain in GAINS.items() if key in name), 1.0) / math.sqrt(fan_in)
        if leaf == "weight" and tensor.ndim == 1:
            value = normal(tensor, 0.15, mean=1.0)
        elif leaf == "bias":
            value = normal(tensor, 0.1)
        elif "embed_tokens" in name:
            value = normal(tensor, 0.7)
        elif "position_embedding" in name:
            value = normal(tensor, 0.3)
        else:
            value = normal(tensor, gain)
        weights[name] = value
    return weights


# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {
    "q_proj": 1.5, "k_proj": 1.5, "to_q": 1.5, "to_k": 1.5, "lm_head": 3.0, "time_emb": 1.2, "add_embedding": 1.2,
    "generation_projector.linear_2": 2.0, "post_quant_conv": 0.15, "decoder.conv_out": 1.2, "resnets": 1.2,
}


def to_shared_grid(value):
    """Rounds to values that bfloat16 and float16 both hold exactly, so that a file's dtype changes nothing."""
    rounded = value.to(torch.bfloat16).float()
    return torch.where(rounded.abs() < 2.0**-14, torch.zeros_like(rounded), rounded)


def write_model(folder, spec, weights):
    """One safetensors file, or two with an index."""
    tensors = {name: value.to(spec["dtype"]).contiguous() for name, value in weights.items()}
    metadata = {"format": "pt"}
    if spec["shards"] == 1:
        save_file(tensors, folder / "model.safetensors", metadata)
        return
    files = {}
    for name, value in tensors.items():
        shard = 1 if name.startswith("language_model") else 2
        files.setdefault(f"model-{shard:05}-of-00002.safetensors", {})[name] = value
    for file, part in files.items():
        save_file(part, folder / file, metadata)
    index = {name: file for file, part in files.items() for name in part}
    total = sum(value.nbytes for value in tensors.values())
    write_json(folder / "model.safetensors.index.json", dict(metadata=dict(total_size=total), weight_map=index))


def write_diffusers(folder, spec, model, config, generator):
    """A diffusers folder: config.json and one file of random weights."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "config.json", config)
    weights = random_weights(model.state_dict(), generator)
    tensors = {name: to_shared_grid(value).to(spec["dtype"]).contiguous() for name, value in weights.items()}
    if isinstance(model, AutoencoderKL):  # the encoder is never run
        tensors = {name: value for name, value in tensors.items() if name.startswith(("decoder", "post_quant"))}
    save_file(tensors, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def write_checkpoint(spec, folder):
    """Writes the checkpoint of one entry of CHECKPOINTS."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(spec)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")
    write_json(folder / "tokenizer_config.json", dict(
        bos_token=BOS, eos_token=EOT, clean_up_tokenization_spaces=True, model_max_length=131072,
        tokenizer_class="PreTrainedTokenizerFast",
    ))
    config = model_config(spec, tokenizer.get_vocab_size() + 5)
    write_json(folder / "config.json", config)
    if spec["mean"] is not None:
        write_json(folder / "preprocessor_config.json", dict(
            do_normalize=True, do_rescale=True, do_resize=True, image_mean=spec["mean"], image_std=[0.3, 0.25, 0.27],
            image_processor_type="SiglipImageProcessor", resample=3, rescale_factor=1 / 255,
            size=dict(height=spec["vision"]["image_size"], width=spec["vision"]["image_size"]),
        ))
    if spec["scheduler"]:
        (folder / "scheduler").mkdir(exist_ok=True)
        write_json(folder / "scheduler/scheduler_config.json", SCHEDULER)

    generator = torch.Generator().manual_seed(spec["seed"])
    weights = random_weights(Pisces(config).state_dict(), generator)
    # Special tokens other than the end of a turn are never answered; rows behind the tokenizer are padding.
    head = weights["language_model.lm_head.weight"]
    end = head[tokenizer.token_to_id(EOT)].clone()
    head[tokenizer.token_to_id(BOS) :] = 0
    head[tokenizer.token_to_id(EOT)] = end
    write_model(folder, spec, {published(name): to_shared_grid(value) for name, value in weights.items()})

    config = unet_config(spec)
    write_diffusers(folder / "unet", spec, UNet2DConditionModel.from_config(config), config, generator)
    config = vae_config(spec)
    write_diffusers(folder / "vae", spec, AutoencoderKL.from_config(config), config, generator)


def write_json(path, content):
    """JSON as the hub's files have it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
