"""Scores the exported tiny Nexus-Gen in f32 and writes its score sets, reference results and sample sheets.

usage: python score_nexus.py <model folder> <score folder> [--scan]

The noise of every picture comes from its seed (torch's generator, latents [4, 8, 8]). `--scan` also prints q8 weights of the core.
"""
import os
import random
import sys

import numpy as np
import torch

import flux_model as X
import nexus_latents
import nexus_tokens as T
import scenes as S
import settled
import vae as V
from export_nexus import STEPS, load
from nexus_model import answers
from questions import KINDS
from score import quantise
from scoring import (
    by, check_settled, edit_samples, edit_score, edit_set, question_set, samples, settled_results, settled_set, write, write_edits, write_sets,
)


def noise_of(items):
    return torch.cat([torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(i["seed"])) for i in items])


if __name__ == "__main__":
    folder, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    core, tower, decoders, vae, shift = load(folder)
    prompts, changes, (questions, pictures) = settled_set(random.Random(6363)), edit_set(), question_set()
    asked = [q["question"] for q in questions]
    check_settled(prompts)

    @torch.no_grad()
    def see(images):
        return tower(V.to_tensor(images))

    @torch.no_grad()
    def draw():
        embeddings = core.imagine([T.drawing(T.words(p["prompt"])) for p in prompts])
        return V.to_images(nexus_latents.decode(vae, X.paint(decoders[0], embeddings, None, noise_of(prompts), STEPS), shift))

    @torch.no_grad()
    def change():
        source = see(np.stack([S.render(e["before"]) for e in changes]))
        embeddings = core.imagine([T.editing(T.words(e["prompt"])) for e in changes], source)
        return V.to_images(nexus_latents.decode(vae, X.paint(decoders[1], embeddings, source, noise_of(changes), STEPS), shift))

    images, edited, said = draw(), change(), answers(core, see(pictures), asked)
    found = dict(settled_results(prompts, images, questions, said), edits=edit_score(changes, edited))
    print("f32", {k: v["totals"] for k, v in found.items()}, flush=True)
    write_sets(out, prompts, questions, pictures, settled.public(prompts))
    write_edits(out, changes)
    write(out + "/reference.json", dict(precision="f32", steps=STEPS, guidance=1.0, **found))
    samples(folder + "/samples.png", images, prompts, settled.TASKS)
    edit_samples(folder + "/edits.png", changes, edited)
    if "--scan" in sys.argv:
        quantise(core)
        right = [s in q["answers"] for s, q in zip(answers(core, see(pictures), asked), questions)]
        print("q8", settled_results(prompts, draw())["drawing"]["totals"], edit_score(changes, change())["totals"], by("kind", KINDS, questions, right), flush=True)
