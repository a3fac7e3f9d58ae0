"""Renders the drawing scenes and encodes them once; training reads latents, scenes and dense labels from the bank.

usage: python bank.py <work folder>
"""
import itertools
import random
import sys

import numpy as np
import torch
import torch.multiprocessing as mp
from diffusers import AutoencoderKL

import scenes as S
import vae as V
from prompts import pair_held_out, relation_of

STEP = 8  # drawn objects sit on a grid of 8 pixels, the size of a latent cell
RADIUS = 10
GAP = 5  # pixels between drawn objects: closer ones melt in the autoencoder
PAIRS, TWINS, TRIPLETS = 36000, 6000, 10000


def singles():
    """Every single object there is."""
    grid = range(12, 53, STEP)
    return [[o] for o in itertools.product(range(len(S.SHAPES)), range(len(S.COLOURS)), grid, grid, (RADIUS,))]


def pair(rng, related):
    """Two different objects, where asked for with an undisputed left/right/above/below."""
    while True:
        a = S.kind(rng)
        b = S.other_kind(rng, [a])
        if not pair_held_out(a, b):
            break
    while True:
        p, q = S.spread(rng, 2, RADIUS, STEP, GAP)
        scene = [(*a, *p, RADIUS), (*b, *q, RADIUS)]
        if not related or relation_of(*scene):
            return scene


def same(rng, count):
    """`count` equal objects."""
    k = S.kind(rng)
    return [(*k, *p, RADIUS) for p in S.spread(rng, count, RADIUS, STEP, GAP)]


def families():
    """Family name -> scenes."""
    rng = random.Random(5)
    return {
        "single": singles(),
        "pair": [pair(rng, i % 5 < 3) for i in range(PAIRS)],
        "twins": [same(rng, 2) for _ in range(TWINS)],
        "triplets": [same(rng, 3) for _ in range(TRIPLETS)],
    }


def encode(folder, shard, shards):
    """Encodes every `shards`-th scene, from `shard` on."""
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(folder + "/vae").to(memory_format=torch.channels_last).eval()
    mine = [o for scenes in families().values() for o in scenes][shard::shards]
    out = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(mine), 100):
            x = V.to_tensor(np.stack([S.render(o) for o in mine[i : i + 100]]))
            out.append((V.moments(vae, x)[0] * vae.config.scaling_factor).half())
            if i % 10000 == 0:
                print(shard, i, flush=True)
    torch.save(torch.cat(out), f"{folder}/latents{shard}.pt")


if __name__ == "__main__":
    work = sys.argv[1]
    jobs = [mp.Process(target=encode, args=(work, i, 2)) for i in range(2)]
    [j.start() for j in jobs]
    scenes = families()
    [j.join() for j in jobs]
    parts = [torch.load(f"{work}/latents{i}.pt") for i in range(2)]
    total = sum(len(p) for p in parts)
    latents = torch.empty(total, 4, 8, 8, dtype=torch.float16)
    for i, p in enumerate(parts):
        latents[i::2] = p
    everything = [o for group in scenes.values() for o in group]
    labels, offsets = zip(*(S.patch_labels(o) for o in everything))
    torch.save(
        dict(
            latents=latents,
            scenes=scenes,
            labels=torch.from_numpy(np.stack(labels)).to(torch.int8),
            offsets=torch.from_numpy(np.stack(offsets)).half(),
        ),
        work + "/bank.pt",
    )
    print("bank", latents.shape, "mean", latents.float().mean((0, 2, 3)), "std", latents.float().std((0, 2, 3)))
