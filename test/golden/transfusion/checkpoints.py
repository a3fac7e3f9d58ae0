"""Two small random Transfusion models, and the ten lines that write a model as a folder that web-umm reads."""

import json
import math

import torch
from diffusers import AutoencoderKL
from einops import rearrange
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transfusion_pytorch import Transfusion

CORPUS = [
    "A red fox sits in the autumn leaves. What is in this picture?",
    "A painting of a lighthouse at dusk, highly detailed, natural colors.",
    "The image shows a lake under a cloudy sky, and then a house by the lake.",
    "Déjà vu, naïve café. 今天天气很好。 Привет, мир! 12345 67.89 %",
]

# `config` has the constructor's own arguments; what is a module there is said in JSON here.
CHECKPOINTS = {
    "a": dict(
        seed=11,
        dtype=torch.bfloat16,
        patch_size=2,
        config=dict(
            num_text_tokens=256,
            dim_latent=16,
            modality_default_shape=[4, 4],
            transformer=dict(dim=32, depth=3, dim_head=16, heads=3),
        ),
        vae=dict(block_out_channels=[8, 16, 16], layers_per_block=1, norm_num_groups=8, sample_size=32,
                 scaling_factor=0.18215),
    ),
    "b": dict(
        seed=6,
        dtype=torch.float16,
        patch_size=1,
        config=dict(
            num_text_tokens=290,
            dim_latent=4,
            channel_first_latent=True,
            add_pos_emb=True,
            modality_default_shape=[8, 12],
            modality_num_dim=2,
            model_output_clean=True,
            eps=0.05,
            pre_post_transformer_enc_dec=[
                dict(type="Conv2d", in_channels=4, out_channels=48, kernel_size=3, stride=2, padding=1),
                dict(type="ConvTranspose2d", in_channels=48, out_channels=4, kernel_size=3, stride=2, padding=1,
                     output_padding=1),
            ],
            transformer=dict(
                dim=48, depth=2, dim_head=16, heads=4, ff_expansion_factor=2, use_value_residual=True, attn_laser=True,
                qk_rmsnorm=False, attn_kwargs=dict(softcap_value=20.0, gate_values=False),
            ),
        ),
        vae=dict(block_out_channels=[8, 12, 16], layers_per_block=1, norm_num_groups=4, sample_size=48,
                 scaling_factor=0.5),
    ),
}


# -- a model as a folder: this is what the family's README shows -----------------------------------------------------


def export(folder, model, config, tokenizer, vae):
    """`config`: the constructor's arguments as JSON, modules as {"type": "Conv2d", ...} or a list of them."""
    state = model.state_dict()
    kept = {name: value.contiguous() for name, value in state.items() if not name.startswith("modality_")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"model_type": "transfusion", **config}, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))
    vae.save_pretrained(folder / "vae")


class Encoder(nn.Module):
    """Pictures [n, 3, H, W] in [0, 1] to latents: the repository's examples, with the mean instead of a sample."""

    def __init__(self, vae, patch, channel_first):
        super().__init__()
        self.vae, self.patch, self.channel_first = vae, patch, channel_first

    def forward(self, image):
        latents = self.vae.encode(image * 2 - 1).latent_dist.mode() * self.vae.config.scaling_factor
        order = "b (p q c) h w" if self.channel_first else "b h w (p q c)"
        return rearrange(latents, f"b c (h p) (w q) -> {order}", p=self.patch, q=self.patch)


class Decoder(Encoder):
    """Latents to pictures in [0, 1]."""

    def forward(self, latents):
        order = "b (p q c) h w" if self.channel_first else "b h w (p q c)"
        latents = rearrange(latents, f"{order} -> b c (h p) (w q)", p=self.patch, q=self.patch)
        image = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return (image / 2 + 0.5).clamp(0, 1)


def build(config, vae, patch_size=1):
    """The library's model from a config.json."""
    arguments = {key: value for key, value in config.items() if key not in ("model_type", "patch_size")}
    arguments["modality_default_shape"] = tuple(arguments["modality_default_shape"])
    arguments["transformer"] = dict(arguments["transformer"])
    if "pre_post_transformer_enc_dec" in arguments:
        arguments["pre_post_transformer_enc_dec"] = tuple(map(module, arguments["pre_post_transformer_enc_dec"]))
    channel_first = arguments.get("channel_first_latent", False)
    return Transfusion(
        modality_encoder=Encoder(vae, patch_size, channel_first),
        modality_decoder=Decoder(vae, patch_size, channel_first),
        modality_processing="grouped",
        **arguments,
    )


def module(described):
    if isinstance(described, list):
        return nn.Sequential(*map(module, described))
    arguments = {key: value for key, value in described.items() if key != "type"}
    return getattr(nn, described["type"])(**arguments)


# -- random numbers and a tokenizer ----------------------------------------------------------------------------------


def make_tokenizer(size):
    """Bytes by their value, as the repository's examples have them, and merges behind them."""
    spare = iter(range(256, 512))
    letters = [chr(b) if chr(b).isprintable() and b != 32 else chr(next(spare)) for b in range(256)]
    tokenizer = Tokenizer(models.BPE(vocab={letter: b for b, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if size > 256:
        trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=letters, show_progress=False)
        tokenizer.train_from_iterator(CORPUS, trainer)
    assert tokenizer.get_vocab_size() == size
    return tokenizer


def vae_config(spec):
    """vae/config.json with the keys of stabilityai/sd-vae-ft-mse."""
    levels = len(spec["vae"]["block_out_channels"])
    return dict(
        act_fn="silu", down_block_types=["DownEncoderBlock2D"] * levels, in_channels=3, latent_channels=4,
        out_channels=3, up_block_types=["UpDecoderBlock2D"] * levels, **spec["vae"],
    )


# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {
    "to_qk": 1.5, "to_film": 0.4, "to_ada_ln_zero": 0.6, "to_text_logits": 3.0, "decoder.conv_out": 1.2,
    "post_quant_conv": 0.15, "resnets": 1.3, "to_time_cond": 1.2, "model_to_latent": 1.0, "conv_out": 1.0,
}


def random_weights(state, generator):
    """Values at scales that keep every stage alive and attention peaked."""

    def normal(value, std, mean=0.0):
        return torch.randn(value.shape, generator=generator) * std + mean

    weights = {}
    for name, value in state.items():
        fan_in = math.prod(value.shape[1:]) if value.ndim > 1 else 1
        gain = next((gain for key, gain in GAINS.items() if key in name), 1.0) / math.sqrt(fan_in)
        if name.endswith("rotary_emb.freqs"):
            weights[name] = value
        elif name.endswith(".weights"):  # Fourier frequencies
            weights[name] = normal(value, 1.0)
        elif name.endswith(("gamma", "layerscale")):
            weights[name] = normal(value, 0.15)
        elif name.endswith("pseudo_queries"):
            weights[name] = normal(value, 0.5)
        elif name.endswith("to_ada_ln_zero.bias"):
            weights[name] = normal(value, 0.2)
        elif name.endswith("bias"):
            weights[name] = normal(value, 0.1)
        elif value.ndim == 1:  # norms of the VAE
            weights[name] = normal(value, 0.15, mean=1.0)
        elif name.endswith("text_embed.weight"):
            weights[name] = normal(value, 0.7)
        else:
            weights[name] = normal(value, gain)
    return weights


def to_bfloat16_grid(value):
    """Rounds to values that bfloat16 and float16 both hold exactly, so that a file's dtype changes nothing."""
    rounded = value.to(torch.bfloat16).float()
    return torch.where(rounded.abs() < 2.0**-14, torch.zeros_like(rounded), rounded)


def write_checkpoint(spec, folder):
    """Writes the checkpoint of one entry of CHECKPOINTS."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(spec["seed"])
    vae = AutoencoderKL.from_config(vae_config(spec))
    load(vae, generator)
    model = build(spec["config"], vae, spec["patch_size"])
    load(model, generator, spoken=spec["config"]["num_text_tokens"])
    config = dict(spec["config"], **({"patch_size": spec["patch_size"]} if spec["patch_size"] > 1 else {}))
    frequencies = model.rotary_emb.freqs.data.clone()  # would lose digits in bfloat16
    model.to(spec["dtype"]).rotary_emb.freqs.data = frequencies
    export(folder, model, config, make_tokenizer(spec["config"]["num_text_tokens"]), vae.float())
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)


def load(module_, generator, spoken=None):
    """Fills a module. Of the control tokens only [eos] and [som] are ever spoken, and [som] readily."""
    weights = random_weights({k: v for k, v in module_.state_dict().items() if "modality_" not in k}, generator)
    if spoken is not None:
        head = weights["to_text_logits.weight"]
        end, begin = head[spoken + 1].clone(), head[spoken + 3].clone()
        head[spoken:] = 0
        head[spoken + 1], head[spoken + 3] = end, 1.35 * begin
    weights = {name: to_bfloat16_grid(value) if "rotary" not in name else value for name, value in weights.items()}
    missing, unexpected = module_.load_state_dict(weights, strict=False)
    assert not unexpected and all("modality_" in name for name in missing)
