"""Scores an exported checkpoint in f32 and writes the score sets, the reference results and the sample sheet.

usage: python score.py <model folder> <score folder> [guidance of the reference] [--scan]

The score sets (200 held-out prompts, 200 held-out questions) are made from fixed seeds. `--scan` also prints the drawing scores of
guidance 1 to 4 and those of simulated q8 weights (blocks of 32 along the input dimension, symmetric, scale in f16).
"""
import json
import os
import sys

import numpy as np
import torch
from PIL import Image

import detector
import scenes as S
import vae as V
from export import load
from model import sample
from progress import answers, contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS
from tokens import drawing_ids

STEPS, EACH, QUESTIONS, COLUMNS = 30, (34, 33, 34, 33, 33, 33), 200, 20


def prompt_set():
    """200 held-out prompts over the six tasks, each with the seed of its noise."""
    many = held_out_prompts(max(EACH), 4242)
    kept = [p for t, n in zip(TASKS, EACH) for p in [q for q in many if q["task"] == t][:n]]
    return [dict(p, seed=1000 + i) for i, p in enumerate(kept)]


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


def by(key, names, items, good):
    """Share of good items for every value of a key, and over all."""
    part = {n: round(float(np.mean([g for g, i in zip(good, items) if i[key] == n])), 3) for n in names}
    return {**part, "all": round(float(np.mean(good)), 3)}


def judge(images, prompts):
    return [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, prompts)]


def write(path, content):
    """JSON; a list gets one item a line."""
    with open(path, "w", encoding="utf-8") as f:
        lines = [json.dumps(c, ensure_ascii=False) for c in content] if isinstance(content, list) else None
        f.write(("[\n" + ",\n".join(lines) + "\n]" if lines else json.dumps(content, ensure_ascii=False, indent=1)) + "\n")


if __name__ == "__main__":
    folder, out = sys.argv[1:3]
    guidance = float(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "--scan" else 2.0
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, vae = load(folder)
    prompts, questions = prompt_set(), held_out_questions(QUESTIONS, 2424)
    oracle = judge([S.render(p["scene"]) for p in prompts], prompts)
    assert all(oracle), "the scenes the prompts were written for must score 1.0"

    pictures = np.stack([S.render(q["scene"]) for q in questions])
    pixels = V.to_tensor(pictures)
    asked = [q["question"] for q in questions]
    images = draw(model, vae, prompts, guidance)
    good = judge(images, prompts)
    said = answers(model, pixels, asked)
    right = [s in q["answers"] for s, q in zip(said, questions)]
    print("drawing, f32, guidance", guidance, by("task", TASKS, prompts, good), flush=True)
    print("questions, f32", by("kind", KINDS, questions, right), flush=True)

    public = [{k: p[k] for k in ("task", "prompt", "seed", "spec")} for p in prompts]
    write(out + "/prompts.json", public)
    write(out + "/questions.json", [dict(kind=q["kind"], question=q["question"], answers=q["answers"], image=i) for i, q in enumerate(questions)])
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((rows * COLUMNS, 64, 64, 3), 255, np.uint8)
    sheet[: len(pictures)] = pictures
    Image.fromarray(sheet.reshape(rows, COLUMNS, 64, 64, 3).transpose(0, 2, 1, 3, 4).reshape(rows * 64, COLUMNS * 64, 3)).save(out + "/questions.png", optimize=True)
    write(
        out + "/reference.json",
        dict(
            precision="f32", steps=STEPS, guidance=guidance,
            drawing=dict(totals=by("task", TASKS, prompts, good), verdicts=good),
            questions=dict(totals=by("kind", KINDS, questions, right), answers=said, verdicts=right),
        ),
    )
    shown = [i for t in TASKS for i in [k for k, p in enumerate(prompts) if p["task"] == t][:4]]
    contact_sheet([images[i] for i in shown], [prompts[i]["prompt"] for i in shown], 8, folder + "/samples.png")

    if "--scan" in sys.argv:
        for g in (1.0, 2.0, 3.0, 4.0):
            print("drawing, f32, guidance", g, by("task", TASKS, prompts, judge(draw(model, vae, prompts, g), prompts)), flush=True)
        quantise(model)
        print("drawing, q8, guidance", guidance, by("task", TASKS, prompts, judge(draw(model, vae, prompts, guidance), prompts)), flush=True)
        right = [s in q["answers"] for s, q in zip(answers(model, pixels, asked), questions)]
        print("questions, q8", by("kind", KINDS, questions, right), flush=True)
