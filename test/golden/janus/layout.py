"""Two small random Janus checkpoints in the published layout, and the first of them as transformers would save it."""

import json
import re
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

sys.path.append(str(Path(__file__).parent.parent / "janus-flow"))
from checkpoints import BOS, EOS, PAD, make_tokenizer, random_weights, to_bfloat16_grid, tokenizer_files, write_json  # noqa: E402

IMAGE, IMAGE_START, IMAGE_END = "<image_placeholder>", "<begin_of_image>", "<end_of_image>"
USER, ASSISTANT = "<|User|>", "<|Assistant|>"
PRO_TOKENS = [IMAGE, "<patch_placeholder>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", USER, ASSISTANT]

CHECKPOINTS = {
    # Janus-1.3B: roles are words, the placeholder is not in the tokenizer, one safetensors file.
    "a": dict(
        seed=31,
        file="model.safetensors",
        roles=("User", "Assistant"),
        merges=120,
        absent_bytes=False,
        individual_digits=True,
        template_bos=True,
        merges_as_strings=True,
        special=[PAD, IMAGE_START, IMAGE_END],
        language=dict(
            hidden_size=64, intermediate_size=160, max_position_embeddings=16384, model_type="llama",
            num_attention_heads=4, num_hidden_layers=2, num_key_value_heads=4, torch_dtype="bfloat16", vocab_size=420,
        ),
        siglip=dict(
            image_size=16, model_name="siglip_tiny_patch4_16", select_feature="same", select_layer=-1,
            width=32, layers=2, heads=2, patch_size=4, mlp_ratio=4,
        ),
        picture=dict(image_token_size=96, n_embed=8, ch=32, ch_mult=[1, 1, 1], num_res_blocks=1, z_channels=16),
        head_width=64,
    ),
    # Janus-Pro: roles and placeholder are control tokens, PyTorch's own file. Like Pro-7B's config.json, this one
    # leaves to LlamaConfig's defaults what a tiny core can: theta, eps, the number of key/value heads.
    "b": dict(
        seed=31,
        file="pytorch_model.bin",
        roles=(USER, ASSISTANT),
        merges=40,
        absent_bytes=False,
        individual_digits=True,
        template_bos=True,
        merges_as_strings=False,
        special=[PAD, IMAGE_START, IMAGE_END, *PRO_TOKENS],
        language=dict(
            hidden_size=48, intermediate_size=112, max_position_embeddings=2048, model_type="llama",
            num_attention_heads=3, num_hidden_layers=3, torch_dtype="bfloat16", vocab_size=330,
        ),
        siglip=dict(
            image_size=24, model_name="siglip_large_patch16_384", select_feature="same", select_layer=-1,
            width=40, layers=1, heads=2, patch_size=8, mlp_ratio=2.6,
        ),
        picture=dict(image_token_size=64, n_embed=4, ch=32, ch_mult=[1, 1, 1, 1], num_res_blocks=1, z_channels=24),
        head_width=80,
    ),
}


def image_tokens(spec):
    """Tokens of a picture that is seen."""
    return (spec["siglip"]["image_size"] // spec["siglip"]["patch_size"]) ** 2


def code_side(spec):
    """Codes along one side of a picture that is drawn."""
    return spec["siglip"]["image_size"] // 2 ** (len(spec["picture"]["ch_mult"]) - 1)


def model_config(spec):
    """config.json with the keys of deepseek-ai/Janus-1.3B, plus explicit sizes of the tower and of the VQ-GAN."""
    hidden, width = spec["language"]["hidden_size"], spec["siglip"]["width"]
    codes, embed = spec["picture"]["image_token_size"], spec["picture"]["n_embed"]

    def projector(inputs):
        return dict(
            cls="MlpProjector", params=dict(depth=2, input_dim=inputs, n_embed=hidden, projector_type="mlp_gelu")
        )

    return dict(
        aligner_config=dict(projector(width), model_type="aligner"),
        architectures=["MultiModalityCausalLM"],
        gen_aligner_config=dict(projector(embed), model_type="gen_aligner"),
        gen_head_config=dict(
            cls="vision_head", model_type="gen_head",
            params=dict(image_token_embed=spec["head_width"], image_token_size=codes, n_embed=hidden),
        ),
        gen_vision_config=dict(cls="VQ-16", model_type="gen_vision", params=spec["picture"]),
        language_config=spec["language"],
        model_type="multi_modality",
        torch_dtype="bfloat16",
        transformers_version="4.33.1",
        vision_config=dict(cls="CLIPVisionTower", model_type="vision", params=spec["siglip"]),
    )


def transformers_config(spec):
    """config.json as transformers' converter writes it for deepseek-community/Janus-Pro-1B."""
    language, tower, picture = spec["language"], spec["siglip"], spec["picture"]
    return dict(
        architectures=["JanusForConditionalGeneration"],
        image_token_id=0,
        model_type="janus",
        text_config=dict(language, rms_norm_eps=1e-6, rope_scaling=None, rope_theta=10000.0, tie_word_embeddings=False),
        torch_dtype="bfloat16",
        transformers_version="4.51.3",
        vision_config=dict(
            attention_bias=True, depth=2, hidden_act="gelu", hidden_size=tower["width"], image_size=tower["image_size"],
            layer_norm_eps=1e-6, mlp_ratio=tower["mlp_ratio"], model_type="janus_vision_model",
            num_attention_heads=tower["heads"], num_channels=3, num_hidden_layers=tower["layers"],
            num_image_tokens=image_tokens(spec), patch_size=tower["patch_size"],
            projection_dim=language["hidden_size"], use_qk_norm=False,
        ),
        vq_config=dict(
            base_channels=picture["ch"], channel_multiplier=picture["ch_mult"], double_latent=False,
            embed_dim=picture["n_embed"], hidden_act="gelu", image_token_embed_dim=language["hidden_size"], in_channels=3,
            latent_channels=picture["z_channels"], model_type="janus_vqgan",
            num_embeddings=picture["image_token_size"], num_hidden_layers=2, num_patches=code_side(spec),
            num_res_blocks=picture["num_res_blocks"], out_channels=3, projection_dim=language["hidden_size"],
        ),
    )


def processor_files(spec):
    """preprocessor_config.json and processor_config.json."""
    image = dict(
        background_color=[127, 127, 127], do_normalize=True, image_mean=[0.5, 0.5, 0.5],
        image_processor_type="VLMImageProcessor", image_size=spec["siglip"]["image_size"], image_std=[0.5, 0.5, 0.5],
        min_size=4, processor_class="VLChatProcessor", rescale_factor=1 / 255,
    )
    chat = dict(
        add_special_token=False, ignore_id=-100, image_tag=IMAGE, mask_prompt=True, num_image_tokens=image_tokens(spec),
        processor_class="VLChatProcessor", sft_format="deepseek",
    )
    return image, chat


def write_side_files(folder, spec):
    """Everything but config.json and the weights; returns the tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_config, special = tokenizer_files(spec)
    special["additional_special_tokens"] = [text for text in spec["special"] if text in PRO_TOKENS]
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    write_json(folder / "special_tokens_map.json", special)
    for name, content in zip(("preprocessor_config.json", "processor_config.json"), processor_files(spec)):
        write_json(folder / name, content)
    tokenizer = make_tokenizer(spec)
    content = json.loads(tokenizer.to_str())
    if spec["merges_as_strings"]:
        content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    write_json(folder / "tokenizer.json", content)
    return tokenizer


def make_weights(reference, spec, tokenizer):
    """Random values for every tensor of the model, on the grid that bfloat16 and float16 share."""
    generator = torch.Generator().manual_seed(spec["seed"])
    weights = random_weights(reference.build(model_config(spec)).state_dict(), generator)
    # Rows behind the tokenizer are padding. Special tokens other than EOS are never answered.
    known = tokenizer.get_vocab_size()
    weights["language_model.model.embed_tokens.weight"][known + 2 :] = 0
    head = weights["language_model.lm_head.weight"]
    end = head[tokenizer.token_to_id(EOS)].clone()
    head[tokenizer.token_to_id(BOS) :] = 0
    head[tokenizer.token_to_id(EOS)] = end
    weights["gen_embed.weight"] *= 2.0
    weights["gen_head.vision_head.weight"] *= 2.0
    weights["gen_vision_model.quantize.codebook_used"] *= 0
    return {name: to_bfloat16_grid(value).to(torch.bfloat16).contiguous() for name, value in weights.items()}


UNREAD = re.compile(r"gen_vision_model\.(encoder|quant_conv|quantize\.codebook_used)")


def write_checkpoint(reference, spec, folder):
    """The published layout; returns the weights."""
    tokenizer = write_side_files(folder, spec)
    write_json(folder / "config.json", model_config(spec))
    weights = make_weights(reference, spec, tokenizer)
    # What is never read (the encoder of pictures, 65536 counters of the codebook) is in the first file only.
    if spec["file"].endswith(".bin"):
        torch.save({name: value for name, value in weights.items() if not UNREAD.match(name)}, folder / spec["file"])
    else:
        save_file(weights, folder / spec["file"], {"format": "pt"})
    return weights


# transformers/models/janus/convert_janus_weights_to_hf.py at v4.51.3, as pairs of (ours, theirs).
RENAMED = [
    (r"^vision_model\.vision_tower\.blocks\.(\d+)\.attn\.proj\.", r"model.vision_model.encoder.layers.\1.self_attn.projection_layer."),
    (r"^vision_model\.vision_tower\.blocks\.(\d+)\.attn\.", r"model.vision_model.encoder.layers.\1.self_attn."),
    (r"^vision_model\.vision_tower\.blocks\.(\d+)\.norm", r"model.vision_model.encoder.layers.\1.layer_norm"),
    (r"^vision_model\.vision_tower\.blocks\.", "model.vision_model.encoder.layers."),
    (r"^vision_model\.vision_tower\.pos_embed", "model.vision_model.embeddings.position_embedding.weight"),
    (r"^vision_model\.vision_tower\.patch_embed\.proj\.", "model.vision_model.embeddings.patch_embedding."),
    (r"^vision_model\.vision_tower\.norm\.", "model.vision_model.post_layernorm."),
    (r"^gen_vision_model\.(.*)conv_blocks\.(\d+)\.res\.", r"gen_vision_model.\1conv_blocks.\2.block."),
    (r"^gen_vision_model\.decoder\.conv_blocks\.", "gen_vision_model.decoder.up."),
    (r"^gen_vision_model\.encoder\.conv_blocks\.", "gen_vision_model.encoder.down."),
    (r"^gen_vision_model\.(.*)\.mid\.0\.", r"gen_vision_model.\1.mid.block_1."),
    (r"^gen_vision_model\.(.*)\.mid\.1\.", r"gen_vision_model.\1.mid.attn_1."),
    (r"^gen_vision_model\.(.*)\.mid\.2\.", r"gen_vision_model.\1.mid.block_2."),
    (r"^gen_vision_model\.", "model.vqmodel."),
    (r"^gen_aligner\.layers\.0\.", "model.generation_aligner.fc1."),
    (r"^gen_aligner\.layers\.2\.", "model.generation_aligner.hidden_layers.0."),
    (r"^aligner\.layers\.0\.", "model.aligner.fc1."),
    (r"^aligner\.layers\.2\.", "model.aligner.hidden_layers.0."),
    (r"^gen_head\.output_mlp_projector\.", "model.generation_head.proj_out."),
    (r"^gen_head\.", "model.generation_head."),
    (r"^gen_embed\.", "model.generation_embeddings."),
    (r"^language_model\.model\.", "model.language_model."),
    (r"^language_model\.lm_head\.", "lm_head."),
]


def transformers_weights(weights):
    """The same tensors under the names and in the shapes that transformers saves."""
    renamed = {}
    for name, value in weights.items():
        if "attn_pool" in name:
            continue
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if ".qkv." in name:
            for part, third in zip("qkv", value.chunk(3)):
                renamed[name.replace("qkv", f"{part}_proj")] = third.contiguous()
        elif name.endswith("position_embedding.weight"):
            renamed[name] = value[0].contiguous()
        else:
            renamed[name] = value
    return renamed


def write_transformers_checkpoint(spec, folder, weights):
    """The layout of deepseek-community: renamed tensors, here without those that are not read."""
    write_side_files(folder, spec)
    write_json(folder / "config.json", transformers_config(spec))
    renamed = transformers_weights({name: value for name, value in weights.items() if not UNREAD.match(name)})
    save_file(renamed, folder / "model.safetensors", {"format": "pt"})
    return renamed
