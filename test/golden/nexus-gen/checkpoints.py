"""Two small random Nexus-Gen checkpoints in the published layouts of V2 and V1: configuration, tokenizer, weights."""

import collections
import json
import math

import diffusers
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

# The 22 added tokens of Qwen2.5, in order; the last eight are not special.
ADDED = (
    "<|endoftext|> <|im_start|> <|im_end|> <|object_ref_start|> <|object_ref_end|> <|box_start|> <|box_end|> <|quad_start|> "
    "<|quad_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|> <|video_pad|> <tool_call> </tool_call> "
    "<|fim_prefix|> <|fim_middle|> <|fim_suffix|> <|fim_pad|> <|repo_name|> <|file_sep|>"
).split()
# Qwen2's split pattern.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "You are a helpful assistant.\nuser\nassistant\n",
    "Generate an image according to the following description: a red fox in the autumn leaves.",
    "Here is an image based on the description: Here is the image: ",
    "What is in this picture? Describe the image in one sentence. Add a pair of sunglasses.",
    "A painting of a lighthouse at dusk, highly detailed, natural colors.",
    "根据以下描述生成一张图像：一只猫。 这是根据您的描述生成的图像：",
]
# Qwen2.5-VL's template, which the published chat_template.json holds.
TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}<|im_end|>\n"
    "{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content or "
    "'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture "
    "{{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' or "
    "'video' in content %}{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video "
    "{{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}"
    "{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>assistant\n{% endif %}"
)

CHECKPOINTS = {
    "v2": dict(
        seed=5,
        version=2,
        merges=60,
        language=dict(hidden_size=48, heads=3, kv_heads=1, layers=2, intermediate_size=80, mrope_section=[2, 3, 3]),
        vision=dict(
            depth=3, hidden_size=32, num_heads=2, intermediate_size=40, patch_size=4, window_size=32,
            fullatt_block_indexes=[1], out_hidden_size=48,
        ),
        nexus_gen=dict(
            generation_grid=3, source_grid=6, max_pixels=1200, fetch_min_pixels=256, negative_length=7,
            decoder=dict(
                hidden_size=32, heads=2, layers=1, single_layers=2, axes_dims=[4, 6, 6], context_size=24, pooled_size=16,
                latent_channels=4,
            ),
            vae=dict(block_out_channels=[8, 8, 16], layers_per_block=1, norm_num_groups=4),
            width=48, height=48,
        ),
        pixels=(48, 32),
    ),
    "v1": dict(
        seed=11,
        version=1,
        merges=20,
        language=dict(hidden_size=64, heads=4, kv_heads=2, layers=2, intermediate_size=72, mrope_section=[2, 3, 3]),
        vision=dict(
            depth=4, hidden_size=32, num_heads=2, intermediate_size=36, patch_size=4, window_size=16,
            fullatt_block_indexes=[1, 3], out_hidden_size=64,
        ),
        nexus_gen=dict(
            generation_grid=4, max_pixels=1200, negative_length=5, understanding_size=36,
            decoder=dict(
                hidden_size=32, heads=2, layers=2, single_layers=1, axes_dims=[8, 4, 4], context_size=32, pooled_size=16,
                latent_channels=4,
            ),
            vae=dict(block_out_channels=[8, 16], layers_per_block=2, norm_num_groups=8),
            width=32, height=32,
        ),
        pixels=(32, 32),
    ),
}


def make_tokenizer(spec):
    """A byte-level BPE with Qwen2's pre-tokenizer and added tokens, trained on CORPUS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=256 + spec["merges"], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    for index, text in enumerate(ADDED):
        tokenizer.add_tokens([AddedToken(text, normalized=False, special=index < 14)])
    return tokenizer


def model_config(spec):
    """config.json with the keys of modelscope/Nexus-GenV2; `nexus_gen` and the vision sizes are what code hard-codes."""
    language, first = spec["language"], 256 + spec["merges"]
    token = {text: first + index for index, text in enumerate(ADDED)}
    return dict(
        architectures=["Qwen2_5_VLForConditionalGeneration"], attention_dropout=0.0,
        bos_token_id=token["<|endoftext|>"], eos_token_id=token["<|im_end|>"], hidden_act="silu",
        hidden_size=language["hidden_size"], image_token_id=token["<|image_pad|>"], initializer_range=0.02,
        intermediate_size=language["intermediate_size"], max_position_embeddings=4096,
        max_window_layers=language["layers"], model_type="qwen2_5_vl", num_attention_heads=language["heads"],
        num_hidden_layers=language["layers"], num_key_value_heads=language["kv_heads"],
        pad_token_id=token["<|endoftext|>"], rms_norm_eps=1e-6,
        rope_scaling=dict(mrope_section=language["mrope_section"], rope_type="default", type="default"),
        rope_theta=1000000.0, sliding_window=32768, tie_word_embeddings=False, torch_dtype="bfloat16",
        transformers_version="4.49.0", use_cache=False, use_sliding_window=False, video_token_id=token["<|video_pad|>"],
        vision_config=dict(
            spec["vision"], in_chans=3, model_type="qwen2_5_vl", spatial_patch_size=spec["vision"]["patch_size"],
            tokens_per_second=2, torch_dtype="bfloat16",
        ),
        vision_end_token_id=token["<|vision_end|>"], vision_start_token_id=token["<|vision_start|>"],
        vision_token_id=token["<|vision_pad|>"], vocab_size=first + len(ADDED) + 6, nexus_gen=spec["nexus_gen"],
    )


def side_files(spec):
    """Every JSON file beside config.json and the weights."""
    config = model_config(spec)
    patch = spec["vision"]["patch_size"]
    return {
        "generation_config.json": dict(
            bos_token_id=config["bos_token_id"], do_sample=True, eos_token_id=[config["eos_token_id"], config["bos_token_id"]],
            pad_token_id=config["pad_token_id"], repetition_penalty=1.05, temperature=0.1, top_k=1, top_p=0.001,
            transformers_version="4.49.0",
        ),
        "preprocessor_config.json": dict(
            do_convert_rgb=True, do_normalize=True, do_rescale=True, do_resize=True,
            image_mean=[0.48145466, 0.4578275, 0.40821073], image_processor_type="Qwen2VLImageProcessor",
            image_std=[0.26862954, 0.26130258, 0.27577711], max_pixels=4096, merge_size=2, min_pixels=4 * patch * patch,
            patch_size=patch, processor_class="Qwen2_5_VLProcessor", resample=3, rescale_factor=1 / 255,
            temporal_patch_size=2,
        ),
        "tokenizer_config.json": dict(
            add_bos_token=False, add_prefix_space=False, bos_token=None, clean_up_tokenization_spaces=False,
            eos_token="<|im_end|>", errors="replace", model_max_length=131072, pad_token="<|endoftext|>",
            processor_class="Qwen2_5_VLProcessor", split_special_tokens=False, tokenizer_class="Qwen2Tokenizer",
            unk_token=None,
        ),
        "chat_template.json": dict(chat_template=TEMPLATE),
    }


# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {"q_proj.weight": 1.6, "k_proj.weight": 1.6, "lm_head": 3.0, "qkv.weight": 1.3, "to_qkv": 1.3, "norm1_": 0.5,
         "norm.linear": 0.5, "final_norm_out": 0.5, "conv_out": 1.5}


def random_weights(state, generator):
    """Random values for a state dict, at scales that keep every stage alive and attention peaked."""
    weights = {}
    for name, tensor in state.items():
        leaf = name.rsplit(".", 1)[-1]
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1
        noise = torch.randn(tensor.shape, generator=generator)
        if leaf == "weight" and tensor.ndim == 1:
            value = noise * 0.15 + 1
        elif leaf == "bias":
            value = noise * 0.1
        elif "embed_tokens" in name or "prefill" in name:
            value = noise * 0.7
        else:
            value = noise * next((gain for key, gain in GAINS.items() if key in name), 1.0) / math.sqrt(fan_in)
        weights[name] = to_bfloat16_grid(value)
    return weights


def to_bfloat16_grid(value):
    """Rounds to values that bfloat16 and float16 both hold exactly, so that a file's dtype changes nothing."""
    rounded = value.to(torch.bfloat16).float()
    return torch.where(rounded.abs() < 2.0**-14, torch.zeros_like(rounded), rounded)


def make_vae(spec):
    """diffusers' AutoencoderKL in FLUX's shape: no quant convolutions, scale and shift outside."""
    vae = spec["nexus_gen"]["vae"]
    levels = len(vae["block_out_channels"])
    return diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
        latent_channels=spec["nexus_gen"]["decoder"]["latent_channels"], use_quant_conv=False, use_post_quant_conv=False,
        **vae,
    ).eval()


def bfl_names(weights, levels):
    """diffusers' names of the decoder -> those of ae.safetensors; attention weights become 1 x 1 convolutions."""
    renamed = {}
    for name, value in weights.items():
        if not name.startswith("decoder."):
            continue
        parts = name.split(".")
        if parts[1] == "up_blocks":
            level = levels - 1 - int(parts[2])
            kind = {"resnets": f"block.{parts[4]}", "upsamplers": "upsample"}[parts[3]]
            name = ".".join(["decoder.up", str(level), kind, *parts[5:]])
        name = name.replace("mid_block.resnets.0", "mid.block_1").replace("mid_block.resnets.1", "mid.block_2")
        name = name.replace("mid_block.attentions.0.", "mid.attn_1.").replace("conv_norm_out", "norm_out")
        name = name.replace("conv_shortcut", "nin_shortcut").replace("group_norm", "norm").replace("to_out.0", "proj_out")
        name = name.replace("to_q.", "q.").replace("to_k.", "k.").replace("to_v.", "v.")
        if "attn_1" in name and value.ndim == 2:
            value = value[:, :, None, None]
        renamed[name] = value
    return renamed


def write_checkpoint(reference, spec, folder):
    """Writes the checkpoint of one entry of CHECKPOINTS."""
    folder.mkdir(parents=True, exist_ok=True)
    config = model_config(spec)
    write_json(folder / "config.json", config)
    for name, content in side_files(spec).items():
        write_json(folder / name, content)
    tokenizer = make_tokenizer(spec)
    content = json.loads(tokenizer.to_str())
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    write_json(folder / "tokenizer.json", content)

    generator = torch.Generator().manual_seed(spec["seed"])
    nexus = spec["nexus_gen"]
    width, context = config["hidden_size"], nexus["decoder"]["context_size"]
    model = reference.model(config, nexus["generation_grid"] ** 2)
    weights = random_weights(model.state_dict(), generator)
    write_shards(folder, {name: value.to(torch.bfloat16) for name, value in weights.items()})

    dit = random_weights(reference.dit(nexus["decoder"]).state_dict(), generator)
    adapter = random_weights(reference.adapter(width, context).state_dict(), generator)
    if spec["version"] == 1:
        write_decoder(folder, "decoder_81_512", {**dit, **adapter})
    else:
        prefixed = {f"pipe.dit.{name}": value for name, value in dit.items()}
        write_decoder(folder, "generation_decoder", {**prefixed, **{f"adapter.{k}": v for k, v in adapter.items()}})
        dit = random_weights(reference.dit(nexus["decoder"]).state_dict(), generator)
        merger = random_weights(reference.merger(reference.Config(**config), context).state_dict(), generator)
        prefixed = {f"pipe.dit.{name}": value for name, value in dit.items()}
        write_decoder(folder, "edit_decoder", {**prefixed, **{f"embedding_merger.{k}": v for k, v in merger.items()}})

    vae = random_weights(make_vae(spec).state_dict(), generator)
    (folder / "vae").mkdir(exist_ok=True)
    levels = len(nexus["vae"]["block_out_channels"])
    save_file({name: value.contiguous() for name, value in bfl_names(vae, levels).items()}, folder / "vae/ae.safetensors")

    pooled = torch.randn(nexus["decoder"]["pooled_size"], generator=generator)
    negative = torch.randn(nexus["negative_length"], context, generator=generator) * 0.5
    constants = dict(pooled=to_bfloat16_grid(pooled), negative=to_bfloat16_grid(negative))
    save_file({name: value.to(torch.bfloat16) for name, value in constants.items()}, folder / "constants.safetensors")


def write_shards(folder, weights):
    """Two files with an index: the vision tower, and the rest."""
    files = {"model-00001-of-00002.safetensors": {}, "model-00002-of-00002.safetensors": {}}
    for name, value in weights.items():
        files[f"model-0000{1 if name.startswith('visual.') else 2}-of-00002.safetensors"][name] = value.contiguous()
    for file, tensors in files.items():
        save_file(tensors, folder / file, {"format": "pt"})
    total = sum(value.nbytes for value in weights.values())
    index = {name: file for file, tensors in files.items() for name in tensors}
    write_json(folder / "model.safetensors.index.json", dict(metadata=dict(total_size=total), weight_map=index))


def write_decoder(folder, name, weights):
    """A flat dict of bfloat16 tensors, as torch.save writes it."""
    tensors = {key: value.to(torch.bfloat16).contiguous() for key, value in weights.items()}
    torch.save(collections.OrderedDict(tensors), folder / f"{name}.bin")


def write_json(path, content):
    """JSON as the hub's files have it."""
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
