"""Encodes the scenes that captions with one answer are drawn as, and more edits than more_bank.py.

usage: python settled_bank.py <work folder>      (after more_bank.py)
"""
import random
import sys

import torch
from diffusers import AutoencoderKL

import edits
from more_bank import encode
from settled import every_settled

EDITS = 14000

if __name__ == "__main__":
    folder, rng = sys.argv[1], random.Random(22)
    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(folder + "/vae").to(memory_format=torch.channels_last).eval()
    scenes, changes = every_settled(), [edits.edit(rng) for _ in range(EDITS)]
    parts = [encode(vae, every) for every in (scenes, [e["before"] for e in changes], [e["after"] for e in changes])]
    torch.save(dict(scenes=scenes, latents=parts[0], edits=changes, before=parts[1], after=parts[2]), folder + "/settled.pt")
    print("settled", [len(p) for p in parts], flush=True)
