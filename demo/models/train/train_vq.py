"""Makes the picture tokenizer: codes by clustering the patches of the world, then a decoder from codes, then an encoder to codes.

usage: python train_vq.py <work folder> decoder|encoder [seconds]

The drawing scenes hold some 270 different 8x8 patches, so every one of them becomes a code of its own; the other codes are the
k-means centres of patches of freely placed scenes. With the codes given, decoder and encoder are two plain supervised problems.
"""
import math
import os
import random
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

import detector
import scenes as S
import vae as V
from bank import families
from groupnorm import fast_group_norm
from quiet import wait
from vq import CODES, DIM, SIDE, VQ

BATCH, RATE = 32, 3e-3
TEMPERATURE = 20  # logits of a code are its cosine times this


def patches(pictures):
    """8x8 patches (N * 64, 192) of uint8 pictures, row by row."""
    n, p = len(pictures), S.SIZE // SIDE
    return pictures.reshape(n, SIDE, p, SIDE, p, 3).transpose(0, 1, 3, 2, 4, 5).reshape(n * SIDE * SIDE, -1)


def nearest(x, centres, chunk=20000):
    """Index of the closest centre of every row."""
    square = (centres * centres).sum(1)
    return torch.cat([(square - 2 * (part.float() @ centres.T)).argmin(1) for part in x.split(chunk)])


def cluster(drawn, free, rounds=25):
    """The 512 patches that codes stand for: all of the drawing scenes, then k-means centres for the free ones."""
    fixed = torch.from_numpy(np.unique(patches(drawn), axis=0)).float()
    rows, counts = np.unique(patches(free), axis=0, return_counts=True)
    rows, counts = torch.from_numpy(rows).float(), torch.from_numpy(counts).float().sqrt()
    print("patches: drawn", len(fixed), "free", len(rows), flush=True)
    centres = torch.cat((fixed, rows[torch.multinomial(counts, CODES - len(fixed), generator=torch.Generator().manual_seed(0))]))
    for _ in range(rounds):
        own = nearest(rows, centres)
        total = torch.zeros_like(centres).index_add_(0, own, rows * counts[:, None])
        weight = torch.zeros(CODES).index_add_(0, own, counts)
        moved = total / weight.clamp(min=1)[:, None]
        centres[len(fixed) :] = torch.where((weight > 0)[len(fixed) :, None], moved[len(fixed) :], centres[len(fixed) :])
    return centres


def codes_of(pictures, centres):
    """Codes (N, 64) of uint8 pictures by the nearest patch."""
    return nearest(torch.from_numpy(patches(pictures)), centres).view(-1, SIDE * SIDE)


def spread_out(centres):
    """First unit vectors (512, 8) of the codes: whitened principal components of their patches."""
    x = centres - centres.mean(0)
    u, _, _ = torch.linalg.svd(x, full_matrices=False)
    return F.normalize(u[:, :DIM] + 0.003 * torch.randn(CODES, DIM), dim=-1)


def crowding(codebook):
    """How much codes are closer to each other than a cosine of 0.7, so that the encoder can tell them apart."""
    return F.relu(codebook @ codebook.T - torch.eye(CODES) - 0.7).pow(2).sum(1).mean()


def scenes_of(rng, count, free):
    """Drawing scenes with a share of freely placed ones."""
    drawn = [o for group in families().values() for o in group]
    return [S.free_scene(rng, rng.choice((1, 4, 4, 8))) if rng.random() < free else rng.choice(drawn) for _ in range(count)]


def judge(vq, title, codes, pictures, scenes):
    with torch.no_grad():
        images = np.concatenate([V.to_images(vq.decode(c)) for c in codes.split(100)])
    psnr = 10 * np.log10(255**2 / ((images.astype(float) - pictures) ** 2).mean())
    good = np.mean([detector.same_objects(detector.detect(i), o) for i, o in zip(images, scenes)])
    print(title, f"psnr {psnr:.2f} detector {good:.4f}", flush=True)
    return images


def report(vq, centres, encoder):
    """Reconstructions of drawing scenes and of freely placed ones, from true codes and (where trained) from the encoder's."""
    rng = random.Random(9)
    for name, free in (("drawing scenes", 0.0), ("free scenes", 1.0)):
        scenes = scenes_of(rng, 300, free)
        pictures = np.stack([S.render(o) for o in scenes])
        codes = codes_of(pictures, centres)
        judge(vq, name, codes, pictures, scenes)
        if encoder:
            with torch.no_grad():
                own = vq.encode(V.to_tensor(pictures))
            print(name, "codes right", round((own == codes).float().mean().item(), 4), flush=True)
            judge(vq, name + " through the encoder", own, pictures, scenes)


def main(folder, part, seconds):
    torch.set_num_threads(2)
    torch.manual_seed(0)
    scenes = scenes_of(random.Random(0), 16000, 0.3)
    pictures = np.stack([S.render(o) for o in scenes])
    path = folder + "/vq.pt"
    vq = VQ().to(memory_format=torch.channels_last)
    if part == "decoder":
        rng = random.Random(1)
        centres = cluster(np.stack([S.render(o) for o in scenes_of(rng, 12000, 0.0)]), np.stack([S.render(o) for o in scenes_of(rng, 4000, 1.0)]))
        vq.quantize.embedding.weight.data = spread_out(centres)
    else:
        saved = torch.load(path)
        centres = saved["centres"]
        vq.load_state_dict(saved["vq"])
    codes, data = codes_of(pictures, centres), V.to_tensor(pictures)
    own = [p for n, p in vq.named_parameters() if n.startswith(("encoder.", "quant_conv.")) == (part == "encoder")]
    optimizer = torch.optim.AdamW(own, RATE, betas=(0.9, 0.99), weight_decay=1e-3)
    start, step, mean = time.time(), 0, 0.0
    while (spent := time.time() - start) < seconds:
        start += wait()
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * max(0.01, 0.5 * (1 + math.cos(math.pi * spent / seconds)))
        index = torch.randint(0, len(data), (BATCH,))
        x, c = data[index], codes[index]
        with fast_group_norm(), torch.autocast("cpu", torch.bfloat16):
            if part == "decoder":
                error = vq.decode(c).float() - x
                weight = 1 + 2 * ((x < 0.98).any(1, keepdim=True)).float()
                loss = (weight * (error.abs() + 2 * error * error)).mean() + 0.01 * crowding(vq.codebook())
            else:
                noisy = x + torch.randn_like(x) * 0.03 * torch.rand(BATCH, 1, 1, 1)
                loss = F.cross_entropy(TEMPERATURE * vq.similarity(noisy).flatten(0, 1), c.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        optimizer.step()
        step += 1
        mean += (loss.item() - mean) / min(step, 50)
        if step % 50 == 0:
            print(part, step, f"{spent:.0f}s loss {mean:.4f}", flush=True)
            torch.save(dict(vq=vq.state_dict(), centres=centres), path + ".part")
    torch.save(dict(vq=vq.state_dict(), centres=centres), path + ".part")
    os.replace(path + ".part", path)
    report(vq.eval(), centres, part == "encoder")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 400)
