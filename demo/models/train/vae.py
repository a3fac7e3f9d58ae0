"""The autoencoder: diffusers' own AutoencoderKL (the class SDXL's VAE is published for), at 1/8 resolution and 4 channels."""
import numpy as np
import torch
from diffusers import AutoencoderKL

CONFIG = dict(
    in_channels=3,
    out_channels=3,
    down_block_types=["DownEncoderBlock2D"] * 4,
    up_block_types=["UpDecoderBlock2D"] * 4,
    block_out_channels=[16, 24, 32, 48],
    layers_per_block=1,
    act_fn="silu",
    latent_channels=4,
    norm_num_groups=8,
    sample_size=64,
    scaling_factor=0.13025,
)


def build():
    """An untrained AutoencoderKL of the size that is shipped."""
    return AutoencoderKL(**CONFIG)


def to_tensor(images):
    """(N, 64, 64, 3) uint8 -> (N, 3, 64, 64) float in [-1, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def to_images(x):
    """(N, 3, 64, 64) float in [-1, 1] -> (N, 64, 64, 3) uint8, rounded."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy().astype(np.uint8)


def moments(vae, x):
    """Mean and log-variance of the posterior, unscaled."""
    mean, logvar = vae.quant_conv(vae.encoder(x)).float().chunk(2, 1)
    return mean, logvar.clamp(-30, 20)


def decode(vae, z):
    """Picture tensor of unscaled latents."""
    return vae.decoder(vae.post_quant_conv(z))
