"""Writes the tiny Chameleon in the layout of leloy/Anole-7b-v0.1-hf: transformers' names, with the VQ-GAN's decoder.

usage: python export_chameleon.py <work folder> <output folder>
"""
import sys

import torch

import chameleon_tokens as T
import llama as L
import vq
from chameleon_model import Chameleon
from publish import compact, load_weights, save_weights, write
from scenes import SIZE
from train_janus import load_vq
from word_tokenizer import word_tokenizer

PREFIX = "model.vqmodel."
MARKS = [T.BOS, T.PAD, T.EOS, T.UNK, T.EOI, T.BOI, T.EOT, T.IMAGE]  # names of codes are words like any other: nobody types them
CONFIG = dict(
    architectures=["ChameleonForConditionalGeneration"], attention_bias=False, attention_dropout=0.0, bos_token_id=T.START, eos_token_id=T.END,
    hidden_act="silu", hidden_size=L.HIDDEN, initializer_range=0.02, intermediate_size=L.FF, max_position_embeddings=512, mlp_bias=False,
    model_parallel_size=1, model_type="chameleon", num_attention_heads=L.HEADS, num_hidden_layers=L.LAYERS, num_key_value_heads=L.HEADS,
    pad_token_id=T.ID[T.PAD], rms_norm_eps=L.EPS, rope_parameters=dict(rope_theta=10000.0, rope_type="default"), swin_norm=False, tie_word_embeddings=False,
    torch_dtype="bfloat16", use_cache=True, vocab_size=T.ROWS, vocabulary_map=T.ID,
    vq_config=dict(
        attn_resolutions=[vq.SIDE], attn_type="vanilla", base_channels=vq.CH, channel_multiplier=list(vq.MULT), double_latent=False, dropout=0.0,
        embed_dim=vq.DIM, in_channels=3, latent_channels=vq.Z, model_type="chameleon_vqgan", num_embeddings=vq.CODES, num_res_blocks=1, resolution=SIZE,
    ),
)
GENERATION = dict(
    repetition_penalty=1.0, image_generation=dict(top_p=1.0, guidance_scale=2.0, editing=dict(guidance_scale=1.0, image_guidance_scale=1.0)),
)
TOKENIZER = dict(
    add_bos_token=True, add_eos_token=False, bos_token=T.BOS, eos_token=T.EOS, pad_token=T.PAD, sep_token=T.EOT, unk_token=T.UNK,
    clean_up_tokenization_spaces=False, legacy=False, model_max_length=512, tokenizer_class="LlamaTokenizerFast", use_default_system_prompt=False,
)


def taming(codec):
    """The VQ's tensors under taming's names; the codebook as the unit vectors that it is used as."""
    state = {vq.taming_name(k): v for k, v in codec.state_dict().items()}
    state["quantize.embedding.weight"] = codec.codebook().detach()
    return state


def export(work, out):
    codec, _ = load_vq(work)
    trained = torch.load(work + "/chameleon.pt")["ema"]
    save_weights(out, {**trained, **{PREFIX + k: v for k, v in taming(codec).items()}}, exact=(PREFIX + "quantize.embedding.weight",))
    write(out, "config.json", CONFIG)
    write(out, "generation_config.json", GENERATION)
    write(out, "tokenizer.json", compact(word_tokenizer(T.ID, MARKS)))
    write(out, "tokenizer_config.json", TOKENIZER)


def load(folder):
    """The exported model and VQ, in f32."""
    tensors = load_weights(folder)
    model, codec = Chameleon(), vq.VQ()
    model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(PREFIX)})
    codec.load_state_dict({k: tensors[PREFIX + vq.taming_name(k)] for k in codec.state_dict()})
    return model.eval(), codec.eval()


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
