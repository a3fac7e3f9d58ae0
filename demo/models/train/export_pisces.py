"""Writes the tiny Pisces in the layout of src/models/pisces/README.md.

usage: python export_pisces.py <work folder> <output folder>
"""
import sys

import torch

import llama as L
import pisces_tokens as T
import pisces_unet as U
import tokens
import tower as W
from pisces_model import published, trained
from publish import compact, load_vae, load_weights, save_vae, save_weights, write
from scenes import SIZE as PIXELS
from settled_batches import SIZE
from shrink import INNER, KEPT
from word_tokenizer import word_tokenizer

STEPS, UNET = 20, "diffusion_pytorch_model"
CONFIG = dict(
    architectures=["PiscesForConditionalGeneration"], model_type="pisces",
    text_config=dict(
        attention_bias=False, bos_token_id=T.ID[T.BOS], eos_token_id=T.ID[T.EOT], hidden_act="silu", hidden_size=L.HIDDEN, intermediate_size=INNER,
        max_position_embeddings=256, mlp_bias=False, model_type="llama", num_attention_heads=L.HEADS, num_hidden_layers=len(KEPT),
        num_key_value_heads=L.HEADS, rms_norm_eps=L.EPS, rope_theta=10000.0, tie_word_embeddings=False, vocab_size=tokens.ROWS,
    ),
    vision_config=dict(
        hidden_act="gelu", hidden_size=W.VIT, image_size=PIXELS, intermediate_size=W.VIT_RATIO * W.VIT, layer_norm_eps=W.EPS,
        model_type="siglip_vision_model", num_attention_heads=W.VIT_HEADS, num_hidden_layers=W.VIT_LAYERS, patch_size=W.PATCH,
    ),
    num_image_vectors=W.TOKENS, image_vector_size=SIZE, num_inference_steps=STEPS, guidance_scale=1.0, torch_dtype="bfloat16",
)
TOKENIZER = dict(bos_token=T.BOS, clean_up_tokenization_spaces=False, eos_token=T.EOT, model_max_length=256, tokenizer_class="PreTrainedTokenizerFast", unk_token=T.UNK)


def export(work, out):
    """Core, tower and UNet in bf16, the decoder of the autoencoder in f16."""
    save_weights(out, published(torch.load(work + "/pisces.pt")["ema"]))
    save_weights(out + "/unet", torch.load(work + "/pisces-unet.pt")["ema"], name=UNET)
    save_vae(work, out, encoder=False)
    write(out, "config.json", CONFIG)
    write(out + "/unet", "config.json", dict(_class_name="UNet2DConditionModel", **U.CONFIG))
    write(out + "/scheduler", "scheduler_config.json", U.SCHEDULER)
    write(out, "tokenizer.json", compact(word_tokenizer(T.ID, T.CONTROL)))
    write(out, "tokenizer_config.json", TOKENIZER)


def load(folder):
    """The exported model, UNet and VAE, in f32."""
    unet = U.build()
    unet.load_state_dict(load_weights(folder + "/unet", UNET))
    return trained(load_weights(folder)), unet.eval(), load_vae(folder)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
