"""Scores an exported checkpoint in f32 and writes the score sets, the reference results and the sample sheet.

usage: python score.py <model folder> <score folder> [guidance of the reference] [--scan]

The score sets (200 held-out prompts, 200 held-out questions) are made from fixed seeds. `--scan` also prints the drawing scores of
guidance 1 to 4 and those of simulated q8 weights (blocks of 32 along the input dimension, symmetric, scale in f16).
"""
import os
import sys

import torch

import vae as V
from export import load
from model import sample
from progress import answers
from prompts import TASKS
from questions import KINDS
from scoring import by, check_oracle, judge, prompt_set, question_set, results, samples, write, write_sets
from tokens import drawing_ids

STEPS = 30


def quantise(model):
    """Rounds every matrix a linear layer multiplies with to int8 in blocks of 32 inputs, in place."""
    for name, p in model.named_parameters():
        if p.dim() == 2 and p.shape[1] % 32 == 0 and name.split(".")[-2:][0] not in ("embed_tokens", "beg_of_und_embed"):
            blocks = p.data.view(p.shape[0], -1, 32)
            scale = (blocks.abs().amax(-1, keepdim=True) / 127).half().float().clamp(min=1e-8)
            p.data = ((blocks / scale).round().clamp(-127, 127) * scale).view_as(p)
    return model


def draw(model, vae, prompts, guidance, steps=STEPS):
    """Pictures of the prompts; the noise of each comes from its own seed."""
    noise = torch.cat([torch.randn((1, 4, 8, 8), generator=torch.Generator("cpu").manual_seed(p["seed"])) for p in prompts])
    with torch.no_grad():
        z = sample(model, [drawing_ids(p["prompt"]) for p in prompts], noise, steps, guidance)
        return V.to_images(vae.decode(z / vae.config.scaling_factor).sample)


if __name__ == "__main__":
    folder, out = sys.argv[1:3]
    guidance = float(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "--scan" else 2.0
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, vae = load(folder)
    prompts = prompt_set()
    questions, pictures = question_set()
    check_oracle(prompts)

    pixels = V.to_tensor(pictures)
    asked = [q["question"] for q in questions]
    images = draw(model, vae, prompts, guidance)
    good = judge(images, prompts)
    said = answers(model, pixels, asked)
    right = [s in q["answers"] for s, q in zip(said, questions)]
    print("drawing, f32, guidance", guidance, by("task", TASKS, prompts, good), flush=True)
    print("questions, f32", by("kind", KINDS, questions, right), flush=True)

    write_sets(out, prompts, questions, pictures)
    write(out + "/reference.json", dict(precision="f32", steps=STEPS, guidance=guidance, **results(prompts, good, questions, said)))
    samples(folder + "/samples.png", images, prompts)

    if "--scan" in sys.argv:
        for g in (1.0, 2.0, 3.0, 4.0):
            print("drawing, f32, guidance", g, by("task", TASKS, prompts, judge(draw(model, vae, prompts, g), prompts)), flush=True)
        quantise(model)
        print("drawing, q8, guidance", guidance, by("task", TASKS, prompts, judge(draw(model, vae, prompts, guidance), prompts)), flush=True)
        right = [s in q["answers"] for s, q in zip(answers(model, pixels, asked), questions)]
        print("questions, q8", by("kind", KINDS, questions, right), flush=True)
