"""Scores the exported tiny Chameleon in f32 and writes its score set, reference results and sample sheets.

usage: python score_chameleon.py <model folder> <score folder> [guidance] [--scan]

Codes are drawn at temperature 1 from three contexts, with the library's own random numbers (chance.py) from each item's seed; text is greedy.
"""
import os
import sys

import numpy as np
import torch

import chameleon_tokens as T
import scenes as S
import vae as V
from chameleon_model import answer, draw_codes
from export_chameleon import load
from score import quantise
from scoring import check_oracle, edit_samples, edit_score, edit_set, judge, prompt_set, question_set, results, samples, write, write_edits, write_sets

EDITS = dict(guidance=1.0, imageGuidance=1.0)  # copying needs no guidance, and guidance multiplies the errors of unlikely codes


def draw(model, vq, items, guidance, before=None, temperature=1.0):
    """Pictures of prompts, or of edits of pictures that are codes `before`."""
    given = [T.picture(c) for c in before.tolist()] if before is not None else [[]] * len(items)
    rows = [[T.START, *g, *T.words(i["prompt"]), T.TURN] for g, i in zip(given, items)]
    return V.to_images(vq.decode(draw_codes(model, rows, [i["seed"] for i in items], guidance, 1.0, temperature)))


@torch.no_grad()
def main(folder, out, guidance, scan):
    os.makedirs(out, exist_ok=True)
    torch.set_num_threads(2)
    model, vq = load(folder)
    prompts, changes, (questions, pictures) = prompt_set(), edit_set(), question_set()
    check_oracle(prompts)
    before = vq.encode(V.to_tensor(np.stack([S.render(e["before"]) for e in changes])))
    seen = torch.cat([vq.encode(V.to_tensor(p)) for p in np.array_split(pictures, 8)])
    said = [answer(model, [T.START, *T.picture(c), *T.words(q["question"]), T.TURN]) for c, q in zip(seen.tolist(), questions)]
    images, edited = draw(model, vq, prompts, guidance), draw(model, vq, changes, EDITS["guidance"], before)
    found = dict(results(prompts, judge(images, prompts), questions, said), edits=dict(numbers=EDITS, **edit_score(changes, edited)))
    print("f32, guidance", guidance, {k: v["totals"] for k, v in found.items()}, flush=True)
    write_sets(out, prompts, questions, pictures)
    write_edits(out, changes)
    sampling = dict(sampling="uniform numbers of src/gpu/random.ts", temperature=1, topP=1, guidance=guidance)
    write(out + "/reference.json", dict(precision="f32", **sampling, **found))
    samples(folder + "/samples.png", images, prompts)
    edit_samples(folder + "/edits.png", changes, edited)
    if scan:
        for g, t in ((1.0, 1.0), (1.5, 1.0), (3.0, 1.0), (1.0, 0.0)):
            print("guidance", g, "temperature", t, np.mean(judge(draw(model, vq, prompts, g, None, t), prompts)), edit_score(changes, draw(model, vq, changes, g, before, t))["totals"], flush=True)
        quantise(model)
        print("q8", np.mean(judge(draw(model, vq, prompts, guidance), prompts)), flush=True)


if __name__ == "__main__":
    given = [a for a in sys.argv[3:] if not a.startswith("--")]
    main(sys.argv[1], sys.argv[2], float(given[0]) if given else 2.0, "--scan" in sys.argv)
