"""What every export shares: text and JSON files, weights in bf16, the VAE in f16."""
import json
import os

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file


def write(folder, name, content):
    """A text file, or an object as JSON."""
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/{name}", "w", encoding="utf-8") as f:
        f.write(content if isinstance(content, str) else json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def compact(content):
    """JSON with one space of indentation, as the tokenizer files have it."""
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def save_weights(folder, tensors, exact=(), dtype=torch.bfloat16, name="model"):
    """`name`.safetensors; tensors named in `exact` stay f32."""
    os.makedirs(folder, exist_ok=True)
    kept = {k: (v.float() if k in exact else v.to(dtype)).contiguous().clone() for k, v in tensors.items()}
    save_file(kept, f"{folder}/{name}.safetensors", {"format": "pt"})


def load_weights(folder, name="model"):
    """The tensors of `name`.safetensors in f32."""
    return {k: v.float() for k, v in load_file(f"{folder}/{name}.safetensors").items()}


def save_vae(work, folder, encoder):
    """vae/ in f16, without its encoder where nothing is ever encoded."""
    os.makedirs(folder + "/vae", exist_ok=True)
    state = AutoencoderKL.from_pretrained(work + "/vae").state_dict()
    kept = {k: v.half().contiguous() for k, v in state.items() if encoder or k.startswith(("decoder.", "post_quant_conv."))}
    save_file(kept, folder + "/vae/diffusion_pytorch_model.safetensors", {"format": "pt"})
    with open(work + "/vae/config.json", encoding="utf-8") as f:
        config = json.load(f)
    config.pop("_name_or_path", None)
    write(folder + "/vae", "config.json", config)


def load_vae(folder):
    return AutoencoderKL.from_pretrained(folder + "/vae", torch_dtype=torch.float32).eval()
