"""Scores the exported tiny Transfusion or OmniGen in f32 and writes the score set, reference results and sample sheets.

usage: python score_flow.py transfusion|omnigen <model folder> <score folder> [guidance] [--scan]

The noise of every picture comes from its seed (torch's generator), in the order of the numbers that the model denoises.
"""
import os
import sys

import numpy as np
import torch

import export_omnigen
import export_transfusion
import omnigen_model
import scenes as S
import transfusion_sample
import transfusion_tokens as T
import vae as V
from score import quantise
from scoring import check_oracle, edit_samples, edit_score, edit_set, judge, prompt_set, question_set, results, samples, write, write_edits, write_sets
from sequence import LATENT, TOKENS, latents

DEFAULTS = dict(transfusion=3.0, omnigen=2.5)
EDITING = dict(transfusion=1.5)  # where it is not that of drawings
STEPS = dict(transfusion=15, omnigen=50)
IMAGE_GUIDANCE = 1.6


def noise_of(kind, items):
    """Latents (B, 4, 8, 8); Transfusion's own are patches."""
    shape = (1, TOKENS, LATENT) if kind == "transfusion" else (1, 4, 8, 8)
    noise = torch.cat([torch.randn(shape, generator=torch.Generator("cpu").manual_seed(i["seed"])) for i in items])
    return latents(noise) if kind == "transfusion" else noise


def encode(vae, pictures):
    """Scaled latents of uint8 pictures."""
    return torch.cat([V.moments(vae, V.to_tensor(p))[0] * vae.config.scaling_factor for p in np.array_split(pictures, 8)])


def draw(kind, model, vae, items, guidance, before=None):
    """Pictures of prompts, or of edits of the pictures `before`."""
    asked, noise, steps = [i["prompt"] for i in items], noise_of(kind, items), STEPS[kind]
    if kind == "omnigen":
        z = omnigen_model.draw(model, asked, noise, steps, guidance, before, IMAGE_GUIDANCE)
    else:
        rows = [T.drawing(a) if before is None else T.edit(a) for a in asked]
        z = transfusion_sample.draw(model, rows, noise, steps, guidance, before)
    return V.to_images(vae.decode(z / vae.config.scaling_factor).sample)


@torch.no_grad()
def main(kind, folder, out, guidance, scan):
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, vae = dict(transfusion=export_transfusion, omnigen=export_omnigen)[kind].load(folder)
    prompts, changes, (questions, pictures) = prompt_set(), edit_set(), question_set()
    check_oracle(prompts)
    images = draw(kind, model, vae, prompts, guidance)
    before = encode(vae, np.stack([S.render(e["before"]) for e in changes]))
    edited = draw(kind, model, vae, changes, EDITING.get(kind, guidance), before)
    said = []
    if kind == "transfusion":
        seen = encode(vae, pictures)
        said = [transfusion_sample.answer(model, z[None], q["question"]) for z, q in zip(seen, questions)]
    questions = questions if said else []
    found = dict(results(prompts, judge(images, prompts), questions, said), edits=edit_score(changes, edited))
    if kind in EDITING:
        found["edits"]["numbers"] = dict(guidance=EDITING[kind])
    print("f32, guidance", guidance, {k: v["totals"] for k, v in found.items()}, flush=True)
    write_sets(out, prompts, questions, pictures)
    write_edits(out, changes)
    more = dict(imageGuidance=IMAGE_GUIDANCE) if kind == "omnigen" else {}
    write(out + "/reference.json", dict(precision="f32", steps=STEPS[kind], guidance=guidance, **more, **found))
    samples(folder + "/samples.png", images, prompts)
    edit_samples(folder + "/edits.png", changes, edited)
    if scan:
        for g in (1.0, 1.5, 2.0, 3.0, 4.0):
            print("guidance", g, np.mean(judge(draw(kind, model, vae, prompts, g), prompts)), edit_score(changes, draw(kind, model, vae, changes, g, before))["totals"], flush=True)
        quantise(model)
        print("q8", np.mean(judge(draw(kind, model, vae, prompts, guidance), prompts)), edit_score(changes, draw(kind, model, vae, changes, guidance, before))["totals"], flush=True)


if __name__ == "__main__":
    kind, folder, out = sys.argv[1:4]
    given = [a for a in sys.argv[4:] if not a.startswith("--")]
    main(kind, folder, out, float(given[0]) if given else DEFAULTS[kind], "--scan" in sys.argv)
