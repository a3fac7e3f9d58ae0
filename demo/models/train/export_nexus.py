"""Writes the tiny Nexus-Gen in the layout of modelscope/Nexus-GenV2, with the sizes that code hard-codes in a section `nexus_gen`.

usage: python export_nexus.py <work folder> <output folder>
"""
import collections
import json
import os
import sys

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

import flux_model as X
import llama as L
import nexus_latents
import nexus_tokens as T
import nexus_tower as V
from nexus_model import SECTION, NexusGen, published
from publish import compact, load_weights, save_weights, write
from scenes import SIZE as PIXELS
from shrink import INNER, KEPT
from tower import SIDE, TOKENS
from vae import CONFIG as VAE
from word_tokenizer import word_tokenizer

STEPS = 20
LEVELS = len(VAE["block_out_channels"])
FILES = dict(generation="generation_decoder", edit="edit_decoder")


def config(shift):
    """config.json with the keys of Nexus-GenV2."""
    return dict(
        architectures=["Qwen2_5_VLForConditionalGeneration"], attention_dropout=0.0, bos_token_id=T.ID[T.END], eos_token_id=T.ID[T.TURN_END],
        hidden_act="silu", hidden_size=L.HIDDEN, image_token_id=T.ID[T.PICTURE], intermediate_size=INNER, max_position_embeddings=256,
        model_type="qwen2_5_vl", num_attention_heads=L.HEADS, num_hidden_layers=len(KEPT), num_key_value_heads=L.HEADS, rms_norm_eps=L.EPS,
        rope_scaling=dict(mrope_section=list(SECTION), rope_type="default", type="default"), rope_theta=10000.0, tie_word_embeddings=False,
        torch_dtype="bfloat16", use_sliding_window=False,
        vision_config=dict(
            depth=V.DEPTH, fullatt_block_indexes=list(V.WHOLE), hidden_size=V.WIDTH, in_chans=3, intermediate_size=V.INNER, model_type="qwen2_5_vl",
            num_heads=V.HEADS, out_hidden_size=L.HIDDEN, patch_size=V.PATCH, spatial_merge_size=V.MERGE, spatial_patch_size=V.PATCH,
            temporal_patch_size=V.FRAMES, tokens_per_second=2, window_size=V.WINDOW,
        ),
        vision_end_token_id=T.ID[T.STOP], vision_start_token_id=T.ID[T.START], vision_token_id=T.ID[T.VISION], vocab_size=T.ROWS,
        nexus_gen=dict(
            generation_grid=SIDE, source_grid=SIDE, merger_base_grid=V.MERGE * SIDE, merger_expansion=1, max_pixels=PIXELS**2, negative_length=TOKENS,
            width=PIXELS, height=PIXELS, num_inference_steps=STEPS, guidance_scale=1.0,
            decoder=dict(
                hidden_size=X.WIDTH, heads=X.HEADS, layers=X.LAYERS, single_layers=X.SINGLE, axes_dims=list(X.AXES), context_size=X.CONTEXT,
                pooled_size=X.POOLED, latent_channels=X.CHANNELS,
            ),
            vae=dict(
                block_out_channels=VAE["block_out_channels"], layers_per_block=VAE["layers_per_block"], norm_num_groups=VAE["norm_num_groups"],
                scaling_factor=nexus_latents.SCALE, shift_factor=shift,
            ),
        ),
    )


GENERATION = dict(bos_token_id=T.ID[T.END], eos_token_id=[T.ID[T.TURN_END]], pad_token_id=T.ID[T.END], do_sample=False, repetition_penalty=1.0)
PREPROCESSOR = dict(
    do_normalize=True, do_rescale=True, do_resize=True, image_mean=[0.5] * 3, image_processor_type="Qwen2VLImageProcessor", image_std=[0.5] * 3,
    max_pixels=PIXELS**2, merge_size=V.MERGE, min_pixels=PIXELS**2, patch_size=V.PATCH, processor_class="Qwen2_5_VLProcessor", resample=3,
    rescale_factor=1 / 255, temporal_patch_size=V.FRAMES,
)
TOKENIZER = dict(
    add_bos_token=False, bos_token=None, clean_up_tokenization_spaces=False, eos_token=T.TURN_END, model_max_length=256, pad_token=T.END,
    tokenizer_class="PreTrainedTokenizerFast", unk_token=T.UNK,
)


def bfl_names(state):
    """The names of ae.safetensors for a diffusers decoder; attention weights become 1 x 1 convolutions."""
    out = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[1] == "up_blocks":
            kind = f"block.{parts[4]}" if parts[3] == "resnets" else "upsample"
            name = ".".join(["decoder.up", str(LEVELS - 1 - int(parts[2])), kind, *parts[5:]])
        for old, new in BFL:
            name = name.replace(old, new)
        out[name] = value[:, :, None, None] if "attn_1" in name and value.ndim == 2 else value
    return out


BFL = (
    ("mid_block.resnets.0", "mid.block_1"), ("mid_block.resnets.1", "mid.block_2"), ("mid_block.attentions.0.", "mid.attn_1."), ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"), ("group_norm", "norm"), ("to_out.0", "proj_out"), ("to_q.", "q."), ("to_k.", "k."), ("to_v.", "v."),
)


def export(work, out):
    """Core, tower and decoders in bf16, the autoencoder's decoder in f16."""
    core, tower = torch.load(work + "/nexus.pt")["ema"], torch.load(work + "/nexus-tower.pt")["ema"]
    save_weights(out, {**published(core), **V.published(tower)})
    for kind, name in FILES.items():
        state = torch.load(f"{work}/nexus-{kind}.pt")["ema"]
        torch.save(collections.OrderedDict((k, v.bfloat16().contiguous()) for k, v in X.published(state).items()), f"{out}/{name}.bin")
    save_weights(out, {k: state[k] for k in ("pooled", "negative")}, name="constants")
    vae = AutoencoderKL.from_pretrained(work + "/vae")
    os.makedirs(out + "/vae", exist_ok=True)
    kept = {k: v.half().contiguous() for k, v in bfl_names(nexus_latents.decoder_state(vae)).items()}
    save_file(kept, out + "/vae/ae.safetensors", {"format": "pt"})
    write(out, "config.json", config(nexus_latents.fit(vae)[1]))
    write(out, "generation_config.json", GENERATION)
    write(out, "preprocessor_config.json", PREPROCESSOR)
    write(out, "tokenizer.json", compact(word_tokenizer(T.ID, T.CONTROL, T.PHRASES)))
    write(out, "tokenizer_config.json", TOKENIZER)


def load(folder):
    """The exported core, tower, decoders (of drawings, of edits) and VAE, in f32, and the shift of the VAE."""
    tensors, constants = load_weights(folder), load_weights(folder, "constants")
    core, decoders = NexusGen(), []
    core.load_state_dict({(k if k.startswith(("vision_head", "image_prefill")) else "language." + k): v for k, v in tensors.items() if not k.startswith("visual.")})
    for kind, name in FILES.items():
        decoder = X.Decoder(kind == "edit")
        state = {k.removeprefix("pipe."): v.float() for k, v in torch.load(f"{folder}/{name}.bin").items()}
        decoder.load_state_dict({**state, **constants})
        decoders.append(decoder.eval())
    return core.eval(), V.trained(tensors), decoders, *load_autoencoder(folder)


def load_autoencoder(folder):
    """A diffusers AutoencoderKL (its encoder untrained) of vae/ae.safetensors, and the shift of its latents."""
    with open(folder + "/config.json", encoding="utf-8") as f:
        shift = json.load(f)["nexus_gen"]["vae"]["shift_factor"]
    vae = AutoencoderKL(**VAE, use_quant_conv=False, use_post_quant_conv=False)
    stored = load_file(folder + "/vae/ae.safetensors")
    own = {k: v for k, v in vae.state_dict().items() if k.startswith("decoder.")}
    state = {k: stored[n].float().view(v.shape) for (k, v), n in zip(own.items(), bfl_names(own))}
    vae.load_state_dict(state, strict=False)
    return vae.eval(), shift


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
