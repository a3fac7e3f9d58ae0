"""Two small random OmniGen checkpoints of the published layout: sizes, tokenizer, weights and files.

a: bfloat16, every pair of long and short rope factors, `pos_embed` in the file (a grid of 24, as `pos_embed_max_size` in
   config.json says: the authors' code knows 192 alone), control tokens that swallow the white space behind them.
b: float32, one key/value head for three, no `pos_embed` in the file (so 192), the VAE's attention under its old names,
   `<img>`, `</img>` and `<|diffusion|>` as tokens of their own.
"""

import json
import math

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers

NEGATIVE_PROMPT = (
    "low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra fingers, mutated hands, poorly drawn hands, "
    "poorly drawn face, mutation, deformed, blurry, dehydrated, bad anatomy, bad proportions, extra limbs, cloned face, "
    "disfigured, gross proportions, malformed limbs, missing arms, missing legs, extra arms, extra legs, fused fingers, "
    "too many fingers."
)
CORPUS = [
    "Generate an image according to the following instructions",
    *NEGATIVE_PROMPT.split(", "),
    NEGATIVE_PROMPT,
    "A curly-haired man in a red shirt is drinking tea.",
    "The man is the right man in the photo. Remove the hat of the woman in the image.",
    "A small red fox sits in the autumn leaves beside a lake.",
    "<img></img><|diffusion|>",
]
CONTROL = ["<|endoftext|>", "<|assistant|>", "<|placeholder1|>", "<|system|>", "<|end|>", "<|user|>"]

CHECKPOINTS = {
    "a": dict(
        seed=31,
        dtype=torch.bfloat16,
        grid=24,
        merges=70,
        rstrip=True,
        more_control=[],
        old_vae_names=False,
        language=dict(
            hidden_size=64, intermediate_size=96, num_attention_heads=4, num_key_value_heads=4, num_hidden_layers=3,
            max_position_embeddings=4096, original_max_position_embeddings=110, vocab_size=416,
        ),
        short=[1.05, 1.1, 1.25, 1.4, 1.9, 2.0, 2.35, 3.05],
        long=[1.03, 1.08, 1.6, 3.69, 9.09, 21.99, 59.29, 64.81001281738281],
        vae=dict(block_out_channels=[8, 8, 16, 16], layers_per_block=1, norm_num_groups=4, sample_size=64),
        picture=(64, 48),
    ),
    "b": dict(
        seed=32,
        dtype=torch.float32,
        grid=192,
        merges=30,
        rstrip=False,
        more_control=["<img>", "</img>", "<|diffusion|>"],
        old_vae_names=True,
        language=dict(
            hidden_size=48, intermediate_size=64, num_attention_heads=3, num_key_value_heads=1, num_hidden_layers=2,
            max_position_embeddings=2048, original_max_position_embeddings=256, vocab_size=376, rope_theta=5000.0,
            rms_norm_eps=1e-6,
        ),
        short=[1.0, 1.02, 1.2, 1.3, 1.5, 1.8, 2.0, 2.5],
        long=[1.0, 1.5, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0],
        vae=dict(block_out_channels=[4, 8, 8, 8], layers_per_block=1, norm_num_groups=2, sample_size=64),
        picture=(32, 80),
    ),
}

# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {
    "qkv_proj": 1.0, "to_q": 1.5, "to_k": 1.5, "query": 1.5, "key": 1.5, "time_token": 1.5, "t_embedder": 1.5,
    "post_quant_conv": 0.15, "quant_conv": 1.5, "decoder.conv_out": 1.2, "resnets": 1.3, "final_layer": 0.8,
}


def model_config(spec):
    """config.json with the keys of Shitao/OmniGen-v1: a Phi-3 with scaled rope."""
    config = dict(
        _name_or_path="Phi-3-vision-128k-instruct", architectures=["Phi3ForCausalLM"], attention_bias=False,
        attention_dropout=0.0, bos_token_id=1, embd_pdrop=0.0, eos_token_id=2, hidden_act="silu",
        initializer_range=0.02, model_type="phi3", pad_token_id=None, resid_pdrop=0.0,
        rope_scaling=dict(long_factor=spec["long"], short_factor=spec["short"], type="su"),
        sliding_window=None, tie_word_embeddings=False, torch_dtype="bfloat16",
        transformers_version="4.38.1", use_cache=False, **{**dict(rms_norm_eps=1e-5, rope_theta=10000.0), **spec["language"]},
    )
    if spec["grid"] != 192:
        config["pos_embed_max_size"] = spec["grid"]
    return config


def vae_config(spec):
    """vae/config.json with the keys of the published folder."""
    levels = len(spec["vae"]["block_out_channels"])
    return dict(
        _class_name="AutoencoderKL", _diffusers_version="0.18.0.dev0", act_fn="silu",
        down_block_types=["DownEncoderBlock2D"] * levels, in_channels=3, latent_channels=4, out_channels=3,
        scaling_factor=0.13025, up_block_types=["UpDecoderBlock2D"] * levels, **spec["vae"],
    )


def make_tokenizer(spec):
    """A byte-fallback BPE with LLaMA's normalizer, and Phi-3's control tokens behind it."""
    alphabet = sorted(set("".join(CORPUS).replace(" ", "▁")) | {"▁"})
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + len(alphabet) + spec["merges"], special_tokens=special, initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    content = json.loads(tokenizer.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokens = CONTROL + spec["more_control"]
    tokenizer.add_special_tokens([AddedToken(text, rstrip=spec["rstrip"], normalized=False) for text in tokens])
    return tokenizer


def tokenizer_config():
    """tokenizer_config.json as Phi-3 has it."""
    return dict(
        add_bos_token=True, add_eos_token=False, bos_token="<s>", clean_up_tokenization_spaces=False,
        eos_token="<|endoftext|>", legacy=False, model_max_length=131072, pad_token="<|endoftext|>",
        padding_side="right", sp_model_kwargs={}, tokenizer_class="LlamaTokenizer", unk_token="<unk>",
        use_default_system_prompt=False,
    )


def random_weights(state, generator):
    """Random values for the tensors of a state dict, at scales that keep every stage alive and attention peaked."""

    def normal(tensor, std, mean=0.0):
        return torch.randn(tensor.shape, generator=generator) * std + mean

    weights = {}
    for name, tensor in state.items():
        if name == "pos_embed":
            weights[name] = tensor.clone()
            continue
        leaf = name.rsplit(".", 1)[-1]
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1
        gain = next((gain for key, gain in GAINS.items() if key in name), 1.0) / math.sqrt(fan_in)
        if leaf == "weight" and tensor.ndim == 1:
            value = normal(tensor, 0.15, mean=1.0)
        elif leaf == "bias":
            value = normal(tensor, 0.1)
        elif "embed_tokens" in name:
            value = normal(tensor, 0.7)
        else:
            value = normal(tensor, gain)
        weights[name] = to_bfloat16_grid(value)
    return weights


def to_bfloat16_grid(value):
    """Rounds to values that bfloat16 and float16 both hold exactly, so that a file's dtype changes nothing."""
    rounded = value.to(torch.bfloat16).float()
    return torch.where(rounded.abs() < 2.0**-14, torch.zeros_like(rounded), rounded)


def write_checkpoint(reference, spec, folder):
    """Writes the checkpoint of one entry of CHECKPOINTS."""
    (folder / "vae").mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", model_config(spec))
    write_json(folder / "tokenizer_config.json", tokenizer_config())
    write_json(folder / "tokenizer.json", json.loads(make_tokenizer(spec).to_str()))

    generator = torch.Generator().manual_seed(spec["seed"])
    weights = random_weights(reference.empty_model(folder, spec["grid"]).state_dict(), generator)
    if spec["grid"] == 192:
        del weights["pos_embed"]
    # the table keeps its float32 values, as the published file does
    typed = {name: value if name == "pos_embed" else value.to(spec["dtype"]) for name, value in weights.items()}
    save_file({name: value.contiguous() for name, value in typed.items()}, folder / "model.safetensors", {"format": "pt"})

    vae = reference.AutoencoderKL.from_config(vae_config(spec))
    weights = {name: value.to(spec["dtype"]) for name, value in random_weights(vae.state_dict(), generator).items()}
    if spec["old_vae_names"]:
        weights = {old_name(name): value for name, value in weights.items()}
    save_file(weights, folder / "vae" / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    write_json(folder / "vae" / "config.json", vae_config(spec))


def old_name(name):
    """The attention names of diffusers before 0.19."""
    for new, old in {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}.items():
        name = name.replace(new, old)
    return name


def write_json(path, content):
    """JSON as the hub's files have it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
