"""Two small random JanusFlow checkpoints in the published layout: configuration, tokenizer, weights, VAE."""

import json
import math

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
GENERATE = "<｜begin▁of▁generation｜>"
IMAGE, IMAGE_START, IMAGE_END = "<image_placeholder>", "<image_beg>", "<image_end>"

# Characters that stand for bytes which never occur in UTF-8. DeepSeek's base vocabulary lacks them and its
# tokenizer.json lists them as added tokens instead, so a literal "ö" encodes to one token and decodes to U+FFFD.
ABSENT_BYTES = "øöúÿõ÷ûýÀùÁþü"

# The letter class of DeepSeek-LLM's pre-tokenizer (cased letters; it has ranges outside the BMP).
LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376"
    "\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d"
    "\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4"
    "\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a"
    "\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2"
    "\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)

SYSTEM_PROMPT = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user "
    "provides, and assist the user with a variety of tasks using natural language."
)
CORPUS = [
    SYSTEM_PROMPT,
    "User: What is in this picture?\n\nAssistant: A small red fox sits in the autumn leaves.",
    "User: Describe the image in one sentence.\n\nAssistant: The image shows a lake under a cloudy sky.",
    "Which of the two images is brighter, the first or the second?",
    "A painting of a lighthouse at dusk, highly detailed, natural colors.",
    "Convert the formula into latex code: \\frac{a}{b} = \\sqrt{c^2 + 17}.",
    "It's the user's picture; they're asking what we'd say about it, aren't they?",
    "今天天气很好，我们去公园看花。图片里有一只猫。",
    "これは小さな家の写真です。 Привет, мир! Γειά σου Κόσμε. 안녕하세요.",
    "Déjà vu, naïve café, smörgåsbord, 12345 67.89 %",
]

CHECKPOINTS = {
    "a": dict(
        seed=25,
        dtype=torch.bfloat16,
        shards=1,
        merges=180,
        absent_bytes=True,
        individual_digits=True,
        template_bos=True,
        merges_as_strings=True,
        lean=False,
        special=[PAD, IMAGE, "<patch_placeholder>", IMAGE_START, IMAGE_END, GENERATE],
        # Like the published file, which leaves rope_theta, rms_norm_eps and the flags to LlamaConfig's defaults.
        language=dict(
            hidden_size=64, intermediate_size=160, max_position_embeddings=16384, model_type="llama",
            num_attention_heads=4, num_hidden_layers=3, num_key_value_heads=4, torch_dtype="bfloat16", vocab_size=480,
        ),
        siglip=dict(
            image_size=32, model_name="siglip_tiny_patch8_32", select_feature="same", select_layer=-1,
            width=64, layers=2, heads=4, patch_size=8, mlp_ratio=4,
        ),
        gen_width=32,
        mean=[0.5, 0.5, 0.5],
        std=[0.5, 0.5, 0.5],
        vae=dict(block_out_channels=[8, 16, 24], layers_per_block=2, norm_num_groups=8, sample_size=32),
    ),
    "b": dict(
        seed=20,
        dtype=torch.float32,
        shards=3,
        merges=40,
        absent_bytes=False,
        individual_digits=False,
        # BOS comes from add_bos_token in tokenizer_config.json, not from tokenizer.json.
        template_bos=False,
        merges_as_strings=False,
        lean=True,  # goldens leave out intermediate tensors that other cases cover, to stay near a megabyte
        # No placeholder and no end tag: the processor appends them, in this order, behind the last token.
        # No pad token either: the processor falls back to EOS.
        special=[IMAGE_START, GENERATE],
        language=dict(
            hidden_size=96, intermediate_size=120, max_position_embeddings=2048, model_type="llama",
            num_attention_heads=3, num_hidden_layers=2, num_key_value_heads=3, rms_norm_eps=1e-5, rope_theta=5000.0,
            torch_dtype="float32", vocab_size=320,
        ),
        # A name from the authors' table with other sizes: the explicit ones win. select_layer -2 builds 2 of 3 layers.
        siglip=dict(
            image_size=96, model_name="siglip_large_patch16_384", select_feature="same", select_layer=-2,
            width=40, layers=3, heads=2, patch_size=16, mlp_ratio=2.6,
        ),
        gen_width=24,
        mean=[0.48145466, 0.4578275, 0.40821073],
        std=[0.26862954, 0.26130258, 0.27577711],
        vae=dict(block_out_channels=[8, 16, 16, 24], layers_per_block=1, norm_num_groups=4, sample_size=96),
    ),
}


def image_tokens(spec):
    """Tokens of one image: SigLIP patches, and equally the flow's 2x2 latent patches."""
    return (spec["siglip"]["image_size"] // spec["siglip"]["patch_size"]) ** 2


def model_config(spec):
    """config.json with the keys of deepseek-ai/JanusFlow-1.3B, plus the explicit SigLIP sizes."""
    hidden, width = spec["language"]["hidden_size"], spec["gen_width"]
    stack = dict(
        block_out_channels=[width], elementwize_affine=True, hidden_size=hidden, layers_in_middle=2,
        norm_eps=1e-6, use_bias=True, use_mid_block=True,
    )
    dtype = spec["language"]["torch_dtype"]
    return dict(
        architectures=["MultiModalityCausalLM"],
        language_config=spec["language"],
        model_type="multi_modality",
        torch_dtype=dtype,
        transformers_version="4.38.2",
        vision_gen_dec_config=dict(
            cls="ShallowUViTDecoder", model_type="vision_gen_dec",
            params=dict(stack, in_channels=width, out_channels=4, upsamples=1),
        ),
        vision_gen_enc_config=dict(
            cls="ShallowUViTEncoder", model_type="vision_gen_enc",
            params=dict(stack, input_channels=4, kernel_size=2, num_extra_tensors=5, padding=0, stride=2),
        ),
        vision_und_enc_config=dict(cls="CLIPVisionTower", model_type="vision_und_enc", params=spec["siglip"]),
    )


def vae_config(spec):
    """vae/config.json with the keys of stabilityai/sdxl-vae."""
    levels = len(spec["vae"]["block_out_channels"])
    return dict(
        _class_name="AutoencoderKL", _diffusers_version="0.20.0.dev0", act_fn="silu",
        down_block_types=["DownEncoderBlock2D"] * levels, force_upcast=True, in_channels=3, latent_channels=4,
        out_channels=3, scaling_factor=0.13025, up_block_types=["UpDecoderBlock2D"] * levels, **spec["vae"],
    )


def make_tokenizer(spec):
    """A byte-level BPE with DeepSeek-LLM's pre-tokenizer sequence and special strings, trained on CORPUS."""
    tokenizer = Tokenizer(models.BPE())
    parts = [
        "[\r\n]",
        rf"\s?[{LETTERS}]+",
        "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+",
        r"\s+$",
        "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+",
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(part), "isolated") for part in parts]
        + [
            pre_tokenizers.Digits(individual_digits=spec["individual_digits"]),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    absent = ABSENT_BYTES if spec["absent_bytes"] else ""
    alphabet = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - set(absent))
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + spec["merges"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    assert tokenizer.get_vocab_size() == len(alphabet) + spec["merges"]
    tokenizer.add_special_tokens([AddedToken(text, normalized=True) for text in (BOS, EOS)])
    tokenizer.add_tokens([AddedToken(text, normalized=True) for text in absent])
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in spec["special"]])
    if spec["template_bos"]:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", pair=f"{BOS} $A {BOS}:1 $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    else:
        tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True)
    return tokenizer


def tokenizer_files(spec):
    """tokenizer_config.json and special_tokens_map.json."""
    pad = PAD if PAD in spec["special"] else None
    config = dict(
        add_bos_token=True, add_eos_token=False, bos_token=BOS, clean_up_tokenization_spaces=False, eos_token=EOS,
        legacy=True, model_max_length=16384, pad_token=pad, sp_model_kwargs={}, tokenizer_class="LlamaTokenizer",
        unk_token=None, use_default_system_prompt=False,
    )
    special = {"bos_token": BOS, "eos_token": EOS, **({"pad_token": pad} if pad else {})}
    if IMAGE in spec["special"]:
        special["additional_special_tokens"] = [text for text in spec["special"] if text.startswith("<image")]
    return config, special


def processor_files(spec):
    """preprocessor_config.json and processor_config.json."""
    image = dict(
        background_color=[int(x * 255) for x in spec["mean"]], do_normalize=True, image_mean=spec["mean"],
        image_processor_type="VLMImageProcessor", image_size=spec["siglip"]["image_size"], image_std=spec["std"],
        min_size=14, processor_class="VLChatProcessor", rescale_factor=1 / 255,
    )
    chat = dict(
        add_special_token=False, ignore_id=-100, image_end_tag=IMAGE_END, image_gen_tag=GENERATE,
        image_start_tag=IMAGE_START, image_tag=IMAGE, mask_prompt=True, num_image_tokens=image_tokens(spec),
        processor_class="VLChatProcessor", sft_format="deepseek_old",
    )
    return image, chat


def random_weights(state, generator):
    """Random values for the tensors of a state dict, at scales that keep every stage alive and attention peaked."""

    def normal(tensor, std, mean=0.0):
        return torch.randn(tensor.shape, generator=generator) * std + mean

    weights = {}
    for name, tensor in state.items():
        leaf = name.rsplit(".", 1)[-1]
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1
        gain = next((gain for key, gain in GAINS.items() if key in name), 1.0) / math.sqrt(fan_in)
        if "channelwise_norm" in name:  # global response norm: added to an identity
            value = normal(tensor, 0.5 if leaf == "weight" else 0.2)
        elif leaf == "weight" and tensor.ndim == 1:  # every other norm
            value = normal(tensor, 0.15, mean=1.0)
        elif leaf == "bias":
            value = normal(tensor, 0.1)
        elif "embed_tokens" in name or name.endswith("beg_of_und_embed"):
            value = normal(tensor, 0.7)
        elif name.endswith("pos_embed") or name.endswith("latent"):
            value = normal(tensor, 0.3)
        else:
            value = normal(tensor, gain)
        if name.endswith("attn.qkv.weight"):
            value[: 2 * tensor.shape[1]] *= 1.4
        weights[name] = value
    return weights


# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {
    "q_proj": 1.5, "k_proj": 1.5, "to_q": 1.5, "to_k": 1.5, "lm_head": 3.0,
    "cond_embeds_mapper": 0.4, "time_embed": 1.5, "post_quant_conv": 0.15, "decoder.conv_out": 1.2,
    "resnets": 1.3,
}


def to_bfloat16_grid(value):
    """Rounds to values that bfloat16 and float16 both hold exactly, so that a file's dtype changes nothing."""
    rounded = value.to(torch.bfloat16).float()
    return torch.where(rounded.abs() < 2.0**-14, torch.zeros_like(rounded), rounded)


def shard_of(name):
    """Which of b's three files holds a tensor: the core, the flow modules, the understanding tower."""
    if name.startswith("vision_und"):
        return 3
    return 1 if name.startswith("language_model.model") else 2


def write_model(folder, spec, weights):
    """One safetensors file, or three with an index (the third in float16, as mixed checkpoints exist)."""
    metadata = {"format": "pt"}
    if spec["shards"] == 1:
        tensors = {name: value.to(spec["dtype"]).contiguous() for name, value in weights.items()}
        save_file(tensors, folder / "model.safetensors", metadata)
        return
    files, total = {}, 0
    for name, value in weights.items():
        shard = shard_of(name)
        value = value.to(torch.float16 if shard == 3 else spec["dtype"]).contiguous()
        files.setdefault(f"model-{shard:05}-of-00003.safetensors", {})[name] = value
        total += value.nbytes
    for file, tensors in files.items():
        save_file(tensors, folder / file, metadata)
    index = {name: file for file, tensors in files.items() for name in tensors}
    write_json(folder / "model.safetensors.index.json", dict(metadata=dict(total_size=total), weight_map=index))


def write_vae(folder, spec, weights):
    """a: the whole autoencoder with to_q names. b: the decoder alone, with the names of older diffusers files."""
    folder.mkdir(exist_ok=True)
    if spec["shards"] > 1:
        old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
        renamed = {}
        for name, value in weights.items():
            for new_name, old_name in old.items():
                name = name.replace(new_name, old_name)
            renamed[name] = value
        weights = renamed
    save_file(weights, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    write_json(folder / "config.json", vae_config(spec))


def write_checkpoint(reference, spec, folder):
    """Writes the checkpoint of one entry of CHECKPOINTS."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model_config(spec)
    write_json(folder / "config.json", config)
    for name, content in zip(("tokenizer_config.json", "special_tokens_map.json"), tokenizer_files(spec)):
        write_json(folder / name, content)
    for name, content in zip(("preprocessor_config.json", "processor_config.json"), processor_files(spec)):
        write_json(folder / name, content)
    tokenizer = make_tokenizer(spec)
    content = json.loads(tokenizer.to_str())
    if spec["merges_as_strings"]:  # as files written before 2024-11 have them; newer ones have pairs
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    write_json(folder / "tokenizer.json", content)

    generator = torch.Generator().manual_seed(spec["seed"])
    with reference.sized(config):
        model = reference.MultiModalityCausalLM(reference.MultiModalityConfig(**config))
    weights = random_weights(model.state_dict(), generator)
    # Rows behind the tokenizer are padding. Special tokens other than EOS are never answered.
    known = tokenizer.get_vocab_size()
    weights["language_model.model.embed_tokens.weight"][known + 2 :] = 0
    head = weights["language_model.lm_head.weight"]
    end = head[tokenizer.token_to_id(EOS)].clone()
    head[tokenizer.token_to_id(BOS) :] = 0
    head[tokenizer.token_to_id(EOS)] = end
    write_model(folder, spec, {name: to_bfloat16_grid(value) for name, value in weights.items()})

    vae = reference.AutoencoderKL.from_config(vae_config(spec))
    weights = {name: to_bfloat16_grid(value) for name, value in random_weights(vae.state_dict(), generator).items()}
    if spec["shards"] > 1:
        weights = {name: value for name, value in weights.items() if name.startswith(("decoder", "post_quant_conv"))}
    write_vae(folder / "vae", spec, weights)


def write_json(path, content):
    """JSON as the hub's files have it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
