"""Writes the tiny Transfusion: transfusion-pytorch's state_dict, the constructor's arguments, tokenizer and VAE.

usage: python export_transfusion.py <work folder> <output folder>
"""
import sys

import torch

import transfusion_model as M
import transfusion_tokens as T
from publish import compact, load_vae, load_weights, save_vae, save_weights, write
from sequence import LATENT, PATCH, SIDE
from tokens import SPECIAL
from word_tokenizer import word_tokenizer

CONFIG = dict(
    model_type="transfusion", num_text_tokens=T.TEXT, dim_latent=LATENT, add_pos_emb=True, modality_default_shape=[SIDE, SIDE], modality_num_dim=2,
    transformer=dict(dim=M.DIM, depth=M.DEPTH, dim_head=M.HEAD, heads=M.HEADS, ff_expansion_factor=M.EXPANSION), patch_size=PATCH,
    sampling=dict(editing_guidance=1.5),
)
EXACT = ("rotary_emb.freqs", "transformer.to_time_cond.0.weights")


def export(work, out):
    save_weights(out, torch.load(work + "/transfusion.pt")["ema"], EXACT)
    save_vae(work, out, encoder=True)
    write(out, "config.json", CONFIG)
    write(out, "tokenizer.json", compact(word_tokenizer(T.ID, SPECIAL)))


def load(folder):
    """The exported model and VAE, in f32."""
    model = M.Transfusion()
    model.load_state_dict(load_weights(folder))
    return model.eval(), load_vae(folder)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
