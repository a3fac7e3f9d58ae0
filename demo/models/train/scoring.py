"""What the score of every family shares: the sets, the judge, and the files in test/score/<family>/."""
import json

import numpy as np
from PIL import Image

import detector
import edits
import scenes as S
import settled
from progress import contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS

EACH, QUESTIONS, COLUMNS = (34, 33, 34, 33, 33, 33), 200, 20
SETTLED = (20, 20, 20, 20, 20, 20, 80)  # of settled.TASKS


def prompt_set():
    """200 held-out prompts over the six tasks, each with the seed of its noise."""
    many = held_out_prompts(max(EACH), 4242)
    kept = [p for t, n in zip(TASKS, EACH) for p in [q for q in many if q["task"] == t][:n]]
    return [dict(p, seed=1000 + i) for i, p in enumerate(kept)]


def question_set():
    """200 held-out questions and the pictures (N, 64, 64, 3) that they are about."""
    questions = held_out_questions(QUESTIONS, 2424)
    return questions, np.stack([S.render(q["scene"]) for q in questions])


def by(key, names, items, good):
    """Share of good items for every value of a key, and over all."""
    part = {n: round(float(np.mean([g for g, i in zip(good, items) if i[key] == n])), 3) for n in names}
    return {**part, "all": round(float(np.mean(good)), 3)}


def judge(images, prompts):
    return [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, prompts)]


def check_oracle(prompts):
    """The scenes that the prompts were written for must score 1.0."""
    assert all(judge([S.render(p["scene"]) for p in prompts], prompts))


def write(path, content):
    """JSON; a list gets one item a line."""
    with open(path, "w", encoding="utf-8") as f:
        lines = [json.dumps(c, ensure_ascii=False) for c in content] if isinstance(content, list) else None
        f.write(("[\n" + ",\n".join(lines) + "\n]" if lines else json.dumps(content, ensure_ascii=False, indent=1)) + "\n")


def write_sheet(path, pictures):
    """All pictures in one PNG, COLUMNS in a row."""
    rows = -(-len(pictures) // COLUMNS)
    sheet = np.full((rows * COLUMNS, 64, 64, 3), 255, np.uint8)
    sheet[: len(pictures)] = pictures
    flat = sheet.reshape(rows, COLUMNS, 64, 64, 3).transpose(0, 2, 1, 3, 4).reshape(rows * 64, COLUMNS * 64, 3)
    Image.fromarray(flat).save(path, optimize=True)


def write_sets(out, prompts, questions=(), pictures=None, items=None):
    """prompts.json (`items`, where a prompt is more than its own keys), and questions.json with questions.png for models that see."""
    write(out + "/prompts.json", items or [{k: p[k] for k in ("task", "prompt", "seed", "spec")} for p in prompts])
    if len(questions):
        write(out + "/questions.json", [dict(kind=q["kind"], question=q["question"], answers=q["answers"], image=i) for i, q in enumerate(questions)])
        write_sheet(out + "/questions.png", pictures)


def results(prompts, good, questions=(), said=(), tasks=TASKS):
    """The entries `drawing` and (for models that see) `questions` of reference.json."""
    found = dict(drawing=dict(totals=by("task", tasks, prompts, good), verdicts=good))
    if len(questions):
        right = [s in q["answers"] for s, q in zip(said, questions)]
        found["questions"] = dict(totals=by("kind", KINDS, questions, right), answers=said, verdicts=right)
    return found


def settled_set(rng):
    """200 held-out captions with one answer, each with the seed of its noise."""
    return [dict(p, seed=1000 + i) for i, p in enumerate(settled.held_out_captions(SETTLED, rng))]


def check_settled(prompts):
    """The scenes that captions are drawn as must score 1.0."""
    assert all(settled.fulfils(S.render(p["scene"]), p) for p in prompts)


def settled_results(prompts, images, questions=(), said=()):
    """`results` of captions with one answer."""
    return results(prompts, [settled.fulfils(i, p) for i, p in zip(images, prompts)], questions, said, settled.TASKS)


def samples(path, images, prompts, tasks=TASKS):
    """The README's sheet: four pictures of every task."""
    shown = [i for t in tasks for i in [k for k, p in enumerate(prompts) if p["task"] == t][:4]]
    contact_sheet([images[i] for i in shown], [prompts[i]["prompt"] for i in shown], 8, path)


def edit_score(items, images):
    """The entry `edits` of reference.json."""
    good = [edits.fulfils(i, e["after"]) for i, e in zip(images, items)]
    return dict(totals=by("kind", edits.KINDS, items, good), verdicts=good)


def write_edits(out, items):
    """edits.json and edits.png: what is asked, what comes out, and the pictures to edit."""
    write(out + "/edits.json", edits.public(items))
    write_sheet(out + "/edits.png", np.stack([S.render(e["before"]) for e in items]))


def edit_samples(path, items, images, count=16):
    """A sheet of pictures before and after."""
    shown = [x for e, i in list(zip(items, images))[:count] for x in (S.render(e["before"]), i)]
    contact_sheet(shown, [x for e in items[:count] for x in (e["prompt"], "")], 8, path)


EDITS = 99


def edit_set():
    items = edits.edit_set(EDITS, 5151)
    edits.oracle(items)
    return items
