"""Scores the exported tiny Pisces in f32 and writes its score set, reference results and sample sheet.

usage: python score_pisces.py <model folder> <score folder> [--scan]

The noise of every picture comes from its prompt's seed (torch's generator, latents [4, 8, 8]). `--scan` also prints q8 weights of the core.
"""
import os
import random
import sys

import torch

import pisces_unet as U
import settled
import vae as V
from export_pisces import STEPS, load
from pisces_model import answers, imagine
from questions import KINDS
from score import quantise
from scoring import by, check_settled, question_set, samples, settled_results, settled_set, write, write_sets

if __name__ == "__main__":
    folder, out = sys.argv[1:3]
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, unet, vae = load(folder)
    prompts, (questions, pictures) = settled_set(random.Random(6363)), question_set()
    asked, pixels = [q["question"] for q in questions], V.to_tensor(pictures)
    check_settled(prompts)
    noise = torch.cat([torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(p["seed"])) for p in prompts])

    def draw():
        with torch.no_grad():
            z = U.paint(unet, imagine(model, [p["prompt"] for p in prompts]), noise, STEPS)
            return V.to_images(vae.decode(z / vae.config.scaling_factor).sample)

    images, said = draw(), answers(model, pixels, asked)
    found = settled_results(prompts, images, questions, said)
    print("f32", {k: v["totals"] for k, v in found.items()}, flush=True)
    write_sets(out, prompts, questions, pictures, settled.public(prompts))
    write(out + "/reference.json", dict(precision="f32", steps=STEPS, guidance=1.0, **found))
    samples(folder + "/samples.png", images, prompts, settled.TASKS)
    if "--scan" in sys.argv:
        quantise(model)
        right = [s in q["answers"] for s, q in zip(answers(model, pixels, asked), questions)]
        print("q8", settled_results(prompts, draw())["drawing"]["totals"], by("kind", KINDS, questions, right), flush=True)
