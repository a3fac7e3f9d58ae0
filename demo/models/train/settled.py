"""Captions that have exactly one picture, for models that regress what they draw: the mean of several pictures is none of them.

"a red circle in row two column five" leaves nothing open. The prompts of the six tasks do; `settled` decides it, always in the same way.
"""
import detector
import prompts as P
import scenes as S
from bank import RADIUS, STEP
from progress import draw_scene

LINES = "one two three four five six".split()  # rows from the top, columns from the left: the grid of drawings
WORDS = "row column four five six".split()  # beyond those of tokens.WORDS
TASKS = [*P.TASKS, "place"]
FIRST, MIDDLE, LAST = 12, 28, 52
PLACES = dict(left=(FIRST, MIDDLE), right=(LAST, MIDDLE), top=(MIDDLE, FIRST), bottom=(MIDDLE, LAST), middle=(MIDDLE, MIDDLE))
PAIRS = dict(left=("left", "right"), right=("right", "left"), above=("top", "bottom"), below=("bottom", "top"))
MANY = {1: [PLACES["middle"]], 2: [PLACES["left"], PLACES["right"]], 3: [(FIRST, FIRST), (LAST, FIRST), (MIDDLE, LAST)]}
USUAL = dict(circle="red", square="blue", triangle="green", cross="black", star="yellow")  # where no colour is named
WEIGHTS = {"single object": 0.5, "two objects": 1.5, "counting": 1.2, "colours": 0.8, "position": 2.5, "attribution": 2.5, "place": 18.0}  # at first 10 of places


def settled(spec):
    """The one scene that is drawn for the spec of a prompt of the six tasks."""
    groups = [(S.SHAPES.index(g["shape"]), S.COLOUR_NAMES.index(g["colour"] or USUAL[g["shape"]]), g["count"]) for g in spec["groups"]]
    if len(groups) == 2:
        places = [PLACES[p] for p in PAIRS[spec["relation"] or "left"]]
    else:
        places = [PLACES[spec["place"]]] if spec["place"] else MANY[groups[0][2]]
    kinds = [g[:2] for g in groups for _ in range(g[2])]
    return [(*k, *p, RADIUS) for k, p in zip(kinds, places)]


def every_settled():
    """All scenes of two or three objects that `settled` gives."""
    kinds = [(s, c) for s in range(len(S.SHAPES)) for c in range(len(S.COLOURS))]
    pairs = [[(*k, *PLACES[p], RADIUS) for k, p in zip((a, b), PAIRS[r])] for a in kinds for b in kinds if a != b for r in ("left", "above")]
    return pairs + [[(*k, *p, RADIUS) for p in MANY[n]] for k in kinds for n in (2, 3)]


def key(objects):
    """The same for all orders of the objects."""
    return tuple(sorted(objects))


def placed(objects, rng):
    """(prompt, spec, held out) that names the place of every object; objects differ from each other."""
    objects = rng.sample(objects, len(objects))
    text = " and ".join(f"{P.noun(o[0], o[1])} in row {LINES[(o[3] - FIRST) // STEP]} column {LINES[(o[2] - FIRST) // STEP]}" for o in objects)
    prompt = P.prefixed(rng, text)
    held = any(P.pair_held_out(a, b) for i, a in enumerate(objects) for b in objects[:i]) if len(objects) > 1 else P.held_out(prompt)
    return prompt, dict(groups=[P.group(*o[:2]) for o in objects], place=None, relation=None), held


def caption(task, rng, objects=None):
    """Dict of task, prompt, spec, the scene that is drawn, and whether the prompt is held out. `objects`: of the task "place"."""
    if task == "place":
        prompt, spec, held = placed(objects, rng)
        return dict(task=task, prompt=prompt, spec=spec, scene=objects, held=held)
    while True:
        made = P.prompt_for(task, draw_scene(task, rng), rng)
        if made:
            return dict(task=task, prompt=made[0], spec=made[1], scene=settled(made[1]), held=made[2])


def apart_scene(rng):
    """One to three objects of different kinds on the grid."""
    kinds = []
    for _ in range(rng.choice((1, 2, 2, 2, 3))):
        kinds.append(S.other_kind(rng, kinds))
    return [(*k, *p, RADIUS) for k, p in zip(kinds, S.spread(rng, len(kinds), RADIUS, STEP, 5))]


def held_out_captions(counts, rng):
    """`counts` (one for each of TASKS) held-out captions that differ from each other as far as there are enough."""
    out = []
    for task, count in zip(TASKS, counts):
        mine, tries = [], 0
        while len(mine) < count:
            made = caption(task, rng, apart_scene(rng) if task == "place" else None)
            tries += 1
            if made["held"] and (tries > 3000 or made["prompt"] not in [m["prompt"] for m in mine]):
                mine.append(made)
        out += mine
    return out


def fulfils(image, item):
    """Whether a picture is what a caption asks for; the task "place" wants every object within 4 pixels of its place."""
    found = detector.detect(image)
    return detector.same_objects(found, item["scene"]) if item["task"] == "place" else P.fulfils(found, item["spec"])


def public(items):
    """prompts.json."""
    def spec(p):
        objects = [dict(shape=S.SHAPES[o[0]], colour=S.COLOUR_NAMES[o[1]], x=o[2], y=o[3]) for o in p["scene"]]
        return dict(p["spec"], objects=objects, within=4) if p["task"] == "place" else p["spec"]

    return [dict(task=p["task"], prompt=p["prompt"], seed=p["seed"], spec=spec(p)) for p in items]
