"""Edits of pictures in words, the picture that comes out, and the judge: the edit happened and nothing else changed."""
import random

import detector
import scenes as S
from bank import GAP, RADIUS, STEP
from prompts import pair_held_out
from questions import scene_held_out

KINDS = ["recolour", "remove", "move"]
WORDS = "make turn paint change remove delete erase take away move shift up down".split()  # beyond those of tokens.WORDS
FAR = 16  # pixels of one move: two cells
WAYS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
NEAR = 4  # pixels that an object may be off


def scene(rng):
    """One to three objects on the grid of drawings; no two are alike, so that words can name each."""
    while True:
        kinds = []
        for _ in range(rng.choice((1, 2, 2, 2, 3))):
            kinds.append(S.other_kind(rng, kinds))
        if not any(pair_held_out(a, b) for i, a in enumerate(kinds) for b in kinds[:i]):
            return [(*k, *p, RADIUS) for k, p in zip(kinds, S.spread(rng, len(kinds), RADIUS, STEP, GAP))]


def name(objects, o, rng):
    """`circle` where that is clear, else `red circle`."""
    alone = sum(p[0] == o[0] for p in objects) == 1
    return S.SHAPES[o[0]] if alone and rng.random() < 0.6 else f"{S.COLOUR_NAMES[o[1]]} {S.SHAPES[o[0]]}"


def edit_for(kind, objects, rng):
    """(instruction, objects afterwards), or None where the kind does not fit the scene."""
    i = rng.randrange(len(objects))
    o, label = objects[i], name(objects, objects[i], rng)
    others = objects[:i] + objects[i + 1 :]
    if kind == "recolour":
        colour = rng.randrange(len(S.COLOUR_NAMES))
        if colour == o[1] or any(p[:2] == (o[0], colour) for p in others):
            return None
        form = rng.choice(("make the {} {}", "make the {} {}", "turn the {} {}", "paint the {} {}"))
        return form.format(label, S.COLOUR_NAMES[colour]), [(o[0], colour, *o[2:]), *others]
    if kind == "remove":
        form = rng.choice(("remove the {}", "remove the {}", "delete the {}", "erase the {}", "take away the {}"))
        return (form.format(label), others) if others else None
    way = rng.choice(list(WAYS))
    x, y = o[2] + FAR * WAYS[way][0], o[3] + FAR * WAYS[way][1]
    if not (12 <= x <= 52 and 12 <= y <= 52 and all(S.apart((x, y), p[2:4], RADIUS, GAP) for p in others)):
        return None
    form = rng.choice(("move the {} {}", "move the {} {}", "shift the {} {}", "move the {} to the {}" if way in ("left", "right") else "move the {} {}"))
    return form.format(label, way), [(*o[:2], x, y, o[4]), *others]


def edit(rng, held_out=False, kind=None):
    """Dict of kind, prompt, and the scenes before and after; held out by the scene before."""
    while True:
        objects = scene(rng)
        if scene_held_out(objects) != held_out:
            continue
        which = kind or rng.choice(KINDS)
        made = edit_for(which, objects, rng)
        if made:
            return dict(kind=which, prompt=made[0], before=objects, after=made[1])


def fulfils(image, after):
    """Whether a picture shows exactly these objects, each with its shape, colour and (within 4 pixels) place."""
    return detector.same_objects(detector.detect(image), after)


def edit_set(count, seed):
    """Held-out edits; kinds take turns, instructions differ from scene to scene."""
    rng = random.Random(seed)
    return [dict(edit(rng, True, KINDS[i % len(KINDS)]), seed=3000 + i) for i in range(count)]


def public(items):
    """edits.json: the objects afterwards in words and pixels, for a judge in another language."""
    def spell(o):
        return dict(shape=S.SHAPES[o[0]], colour=S.COLOUR_NAMES[o[1]], x=o[2], y=o[3])

    return [
        dict(kind=e["kind"], prompt=e["prompt"], seed=e["seed"], image=i, objects=[spell(o) for o in e["after"]], within=NEAR)
        for i, e in enumerate(items)
    ]


def oracle(items):
    """The scenes afterwards must score 1.0, the scenes before 0.0."""
    assert all(fulfils(S.render(e["after"]), e["after"]) for e in items)
    assert not any(fulfils(S.render(e["before"]), e["after"]) for e in items)
