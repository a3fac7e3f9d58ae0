"""Scores the exported tiny Janus in f32 and writes its score set, reference results and sample sheet.

usage: python score_janus.py <model folder> <score folder> [guidance] [--scan]

Codes are drawn at temperature 1 with the library's own random numbers (chance.py) from each prompt's seed, so that another
implementation of the same sampler draws the same pictures. `--scan` also prints other guidances, temperature 0, and q8 weights.
"""
import os
import sys

import torch

import vae as V
from export_janus import load
from janus_model import draw_codes
from progress import answers
from prompts import TASKS
from questions import KINDS
from score import quantise
from scoring import by, check_oracle, judge, prompt_set, question_set, results, samples, write, write_sets
from tokens import drawing_ids


def draw(model, vq, prompts, guidance, temperature=1.0):
    with torch.no_grad():
        codes = draw_codes(model, [drawing_ids(p["prompt"]) for p in prompts], [p["seed"] for p in prompts], guidance, temperature)
        return V.to_images(vq.decode(codes))


if __name__ == "__main__":
    folder, out = sys.argv[1:3]
    guidance = float(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "--scan" else 2.0
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, vq = load(folder)
    prompts = prompt_set()
    questions, pictures = question_set()
    check_oracle(prompts)
    asked, pixels = [q["question"] for q in questions], V.to_tensor(pictures)
    images = draw(model, vq, prompts, guidance)
    good, said = judge(images, prompts), answers(model, pixels, asked)
    found = results(prompts, good, questions, said)
    print("f32, guidance", guidance, found["drawing"]["totals"], found["questions"]["totals"], flush=True)
    write_sets(out, prompts, questions, pictures)
    write(out + "/reference.json", dict(precision="f32", sampling="uniform numbers of src/gpu/random.ts", temperature=1, guidance=guidance, **found))
    samples(folder + "/samples.png", images, prompts)
    if "--scan" in sys.argv:
        for g, t in ((1.0, 1.0), (1.5, 1.0), (3.0, 1.0), (5.0, 1.0), (guidance, 0.0)):
            print("drawing, f32, guidance", g, "temperature", t, by("task", TASKS, prompts, judge(draw(model, vq, prompts, g, t), prompts)), flush=True)
        quantise(model)
        print("drawing, q8", by("task", TASKS, prompts, judge(draw(model, vq, prompts, guidance), prompts)), flush=True)
        right = [s in q["answers"] for s, q in zip(answers(model, pixels, asked), questions)]
        print("questions, q8", by("kind", KINDS, questions, right), flush=True)
