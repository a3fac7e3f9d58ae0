"""Trains the autoencoder for a given number of seconds, folds its latents to zero mean and unit scaled variance, and gates it.

usage: python train_vae.py <work folder> [seconds]
"""
import math
import random
import sys
import time

import numpy as np
import torch
import torch.nn as nn

import detector
import scenes
import vae as V

work, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 420
KL = 5e-5
BATCH = 24
torch.set_num_threads(2)
torch.manual_seed(0)
rng = random.Random(0)


def fast_group_norm(norm, x):
    """GroupNorm on channels-last bf16 maps; torch's own backward is slow there."""
    if x.dim() == 3:
        return nn.functional.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    b, c, h, w = x.shape
    g = norm.num_groups
    flat = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
    n = h * w * c // g
    mean = flat.float().sum(1).view(b, g, -1).sum(-1) / n
    square = (flat * flat).float().sum(1).view(b, g, -1).sum(-1) / n
    scale = torch.rsqrt((square - mean * mean).clamp(min=0) + norm.eps).repeat_interleave(c // g, 1) * norm.weight
    shift = norm.bias - mean.repeat_interleave(c // g, 1) * scale
    y = torch.addcmul(shift[:, None].to(x.dtype), flat, scale[:, None].to(x.dtype))
    return y.view(b, h, w, c).permute(0, 3, 1, 2)


def fold(vae, mean, std):
    """Puts (z - mean) / (std * scaling_factor) into quant_conv and its inverse into post_quant_conv."""
    gain = 1 / (std * vae.config.scaling_factor)
    with torch.no_grad():
        q, p = vae.quant_conv, vae.post_quant_conv
        q.bias[:4] = (q.bias[:4] - mean) * gain
        q.weight[:4] *= gain.view(4, 1, 1, 1)
        q.bias[4:] += 2 * gain.log()
        p.bias += p.weight[:, :, 0, 0] @ mean
        p.weight /= gain.view(1, 4, 1, 1)


pictures = [scenes.free_scene(rng, 1 if i % 4 == 0 else 4) for i in range(16000)]
data = V.to_tensor(np.stack([scenes.render(o) for o in pictures]))
vae = V.build().to(memory_format=torch.channels_last)
plain_group_norm = nn.GroupNorm.forward
nn.GroupNorm.forward = fast_group_norm
optimizer = torch.optim.AdamW(vae.parameters(), 3e-3, betas=(0.9, 0.99), weight_decay=1e-3)
start, step = time.time(), 0
while (spent := time.time() - start) < seconds:
    for group in optimizer.param_groups:
        group["lr"] = 3e-3 * min(1, (step + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * spent / seconds)))
    x = data[torch.randint(0, len(data), (BATCH,))]
    with torch.autocast("cpu", torch.bfloat16):
        mean, logvar = V.moments(vae, x)
        y = V.decode(vae, mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
    weight = 1 + 2 * ((x < 0.98).any(1, keepdim=True)).float()
    error = y.float() - x
    loss = (weight * (error.abs() + 2 * error * error)).mean() + KL * 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
    optimizer.step()
    step += 1
    if step % 100 == 0:
        print(step, round(spent), f"loss {loss.item():.4f} mse {error.pow(2).mean().item():.5f}", flush=True)

nn.GroupNorm.forward = plain_group_norm
vae.eval()
with torch.no_grad():
    z = torch.cat([V.moments(vae, data[i : i + 100])[0] for i in range(0, 2000, 100)])
    std = z.std((0, 2, 3))
    print("raw latent mean", z.mean((0, 2, 3)).tolist(), "std", std.tolist())
    fold(vae, z.mean((0, 2, 3)), std)
    vae.save_pretrained(work + "/vae")
    fresh = random.Random(9)
    held = [scenes.free_scene(fresh, 4) for _ in range(400)]
    truth = np.stack([scenes.render(o) for o in held])
    z = V.moments(vae, V.to_tensor(truth))[0]
    scaled = z * vae.config.scaling_factor
    print("scaled latent mean", scaled.mean((0, 2, 3)).tolist(), "std", scaled.std((0, 2, 3)).tolist())
    for name, latents in (("recon", z), ("recon + 10% noise", z + 0.1 * z.std() * torch.randn_like(z))):
        images = V.to_images(V.decode(vae, latents))
        psnr = 10 * np.log10(255**2 / ((images.astype(float) - truth) ** 2).mean())
        good = np.mean([detector.same_objects(detector.detect(i), o) for i, o in zip(images, held)])
        print(name, f"psnr {psnr:.2f} detector {good:.4f}", flush=True)
