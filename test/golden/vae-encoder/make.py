"""What diffusers' AutoencoderKL makes of a picture: the moments of golden checkpoint a's VAE for its first photo.

    pip install torch diffusers safetensors && python make.py

Writes encode.safetensors: `mean` and `logVariance` [4, 8, 8] of janus-flow/a's `image.0.pixelValues`, in float32, as the
encoder gives them (not clamped, not scaled). Versions are in the file's metadata.
"""

import importlib.metadata
import pathlib

import torch
from diffusers.models import AutoencoderKL
from safetensors.torch import load_file, save_file

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "janus-flow" / "a"


@torch.inference_mode()
def main():
    vae = AutoencoderKL.from_pretrained(GOLDEN / "checkpoint" / "vae", torch_dtype=torch.float32).eval()
    pixels = load_file(GOLDEN / "goldens.safetensors")["image.0.pixelValues"]
    moments = vae.quant_conv(vae.encoder(pixels[None]))[0]
    mean, log_variance = moments.chunk(2)
    versions = {name: importlib.metadata.version(name) for name in ("torch", "diffusers")}
    tensors = {"mean": mean.contiguous(), "logVariance": log_variance.contiguous()}
    save_file(tensors, HERE / "encode.safetensors", metadata=versions)


main()
