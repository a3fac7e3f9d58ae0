"""Writes the tiny OmniGen in the layout of Shitao/OmniGen-v1 (without `pos_embed`, which follows from the sizes).

usage: python export_omnigen.py <work folder> <output folder>
"""
import sys

import torch

import llama as L
import omnigen_tokens as T
from omnigen_model import OmniGen, published
from publish import compact, load_vae, load_weights, save_vae, save_weights, write
from sequence import LATENT
from word_tokenizer import word_tokenizer

POSITIONS = 256
ONES = [1.0] * (L.HIDDEN // L.HEADS // 2)
CONFIG = dict(
    _name_or_path="Phi-3-vision-128k-instruct", architectures=["Phi3ForCausalLM"], attention_bias=False, attention_dropout=0.0, bos_token_id=1,
    embd_pdrop=0.0, eos_token_id=2, hidden_act="silu", hidden_size=L.HIDDEN, initializer_range=0.02, intermediate_size=L.FF,
    max_position_embeddings=POSITIONS, model_type="phi3", num_attention_heads=L.HEADS, num_hidden_layers=L.LAYERS, num_key_value_heads=L.HEADS,
    original_max_position_embeddings=POSITIONS, pad_token_id=None, resid_pdrop=0.0, rms_norm_eps=L.EPS,
    rope_scaling=dict(long_factor=ONES, short_factor=ONES, type="su"), rope_theta=10000.0, sliding_window=None, tie_word_embeddings=False,
    torch_dtype="bfloat16", use_cache=False, vocab_size=T.ROWS, sample_size=8,
)
TOKENIZER = dict(
    add_bos_token=True, add_eos_token=False, bos_token="<s>", clean_up_tokenization_spaces=False, eos_token="<|endoftext|>", legacy=False,
    model_max_length=POSITIONS, pad_token="<|endoftext|>", padding_side="right", tokenizer_class="LlamaTokenizerFast", unk_token="<unk>",
    use_default_system_prompt=False,
)


def negative():
    """Normalizers that make one word of the long negative prompt; in pieces, because long strings are refused by some readers."""
    text, size = T.NEGATIVE.lower(), 200
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    return [{"type": "Replace", "pattern": {"String": p}, "content": "" if i else T.NOTHING} for i, p in enumerate(pieces)]


def export(work, out):
    save_weights(out, published(torch.load(work + "/omnigen.pt")["ema"]))
    save_vae(work, out, encoder=True)
    write(out, "config.json", CONFIG)
    control = [*T.CONTROL, "<|user|>", "<|end|>"]
    write(out, "tokenizer.json", compact(word_tokenizer(T.ID, control, [T.INSTRUCTION], "<s>", before=negative())))
    write(out, "tokenizer_config.json", TOKENIZER)


def load(folder):
    """The exported model (in the trained form) and VAE, in f32."""
    state = {}
    for name, value in load_weights(folder).items():
        head = name.rsplit(".", 2)[0]
        if ".qkv_proj." in name:
            state |= {f"{head}.{n}_proj.weight": part for n, part in zip("qkv", value.chunk(3))}
        elif ".gate_up_proj." in name:
            state |= {f"{head}.{n}_proj.weight": part for n, part in zip(("gate", "up"), value.chunk(2))}
        elif "x_embedder.proj.weight" in name:
            state[name] = value.permute(0, 2, 3, 1).reshape(-1, LATENT)
        else:
            state[name] = value
    model = OmniGen()
    model.load_state_dict(state)
    return model.eval(), load_vae(folder)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
