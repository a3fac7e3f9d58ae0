"""Encodes what seeing and editing need beyond bank.py's drawings: freely placed scenes, and pairs of scenes before and after an edit.

usage: python more_bank.py <work folder>      (after bank.py)
"""
import random
import sys

import numpy as np
import torch
import torch.multiprocessing as mp
from diffusers import AutoencoderKL

import edits
import scenes as S
import vae as V
from questions import GRIDS, scene_held_out

FREE, EDITS = 12000, 12000


def content():
    """Free scenes that are not held out, and edits of scenes that are not held out."""
    rng, free = random.Random(21), []
    while len(free) < FREE:
        o = S.free_scene(rng, rng.choice(GRIDS))
        free += [] if scene_held_out(o) else [o]
    return free, [edits.edit(rng) for _ in range(EDITS)]


def encode(vae, scenes):
    """Scaled latents (N, 4, 8, 8) in f16."""
    out = []
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for i in range(0, len(scenes), 100):
            x = V.to_tensor(np.stack([S.render(o) for o in scenes[i : i + 100]]))
            out.append(V.moments(vae, x)[0] * vae.config.scaling_factor)
    return torch.cat(out).half()


def part(folder, shard, scenes):
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(folder + "/vae").to(memory_format=torch.channels_last).eval()
    torch.save(encode(vae, scenes), f"{folder}/more{shard}.pt")


if __name__ == "__main__":
    folder = sys.argv[1]
    free, changes = content()
    every = [*free, *(e["before"] for e in changes), *(e["after"] for e in changes)]
    half = len(every) // 2
    jobs = [mp.Process(target=part, args=(folder, i, every[i * half : (i + 1) * half if i == 0 else None])) for i in range(2)]
    [j.start() for j in jobs]
    [j.join() for j in jobs]
    z = torch.cat([torch.load(f"{folder}/more{i}.pt") for i in range(2)])
    before, after = z[FREE:].chunk(2)
    torch.save(dict(free=free, seen=z[:FREE], edits=changes, before=before, after=after), folder + "/more.pt")
    print("more", len(z), flush=True)
