"""Drawing prompts: what each of the six tasks says about a scene, which prompts are held out, and how a drawing is judged."""
import hashlib

from scenes import COLOUR_NAMES, PLURALS, SHAPES

TASKS = ["single object", "two objects", "counting", "colours", "position", "attribution"]
NUMBERS = ["zero", "one", "two", "three"]
PREFIXES = ["", "draw", "draw me", "please draw", "paint", "show me", "a picture of", "an image of", "a drawing of", "please paint"]
PLACES = {"left": "on the left", "right": "on the right", "top": "at the top", "bottom": "at the bottom", "middle": "in the middle"}
RELATIONS = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above",),
    "below": ("below",),
}


def bucket(text, count):
    """A stable hash of a string into 0..count-1."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") % count


def pair_held_out(a, b):
    """Whether two kinds (shape, colour) are never put together in training."""
    return bucket(f"pair {sorted((tuple(a[:2]), tuple(b[:2])))}", 8) == 0


def held_out(prompt):
    """Whether a prompt without two fully described objects is kept for scoring."""
    return bucket("prompt " + prompt, 5) == 0


def place_of(o):
    """left, right, top, bottom, middle or None where it could be disputed."""
    dx, dy = o[2] - 32, o[3] - 32
    if max(abs(dx), abs(dy)) <= 5:
        return "middle"
    if abs(dx) >= 9 and abs(dx) >= abs(dy) + 6:
        return "left" if dx < 0 else "right"
    if abs(dy) >= 9 and abs(dy) >= abs(dx) + 6:
        return "top" if dy < 0 else "bottom"
    return None


def relation_of(a, b):
    """How `a` lies to `b` (left, right, above, below), or None where it could be disputed."""
    dx, dy = b[2] - a[2], b[3] - a[3]
    if abs(dx) >= 14 and abs(dx) >= abs(dy) + 8:
        return "left" if dx > 0 else "right"
    if abs(dy) >= 14 and abs(dy) >= abs(dx) + 8:
        return "above" if dy > 0 else "below"
    return None


def behind(a, b):
    """True when `b` is named before `a` in "... and ...": who is further left comes first, or above where that says more.

    Without this order the model has to agree with itself, in the first noisy steps, on which of two places gets which object; a model of this
    size then often draws the same one twice.
    """
    dx, dy = b[2] - a[2], b[3] - a[3]
    return (dx if abs(dx) >= abs(dy) else dy) < 0


def noun(shape, colour=None, count=1, article="a"):
    """`a red circle`, `circles`: the words of one group of equal objects."""
    colour = "" if colour is None else COLOUR_NAMES[colour] + " "
    return f"{article} {colour}{SHAPES[shape]}" if count == 1 else f"{NUMBERS[count]} {colour}{PLURALS[shape]}"


def group(shape, colour=None, count=1):
    """One entry of a spec: how many objects of which shape and (perhaps) colour."""
    return {"count": count, "shape": SHAPES[shape], "colour": None if colour is None else COLOUR_NAMES[colour]}


def prefixed(rng, text):
    """Puts one of the usual openings before a prompt, sometimes."""
    prefix = rng.choice(PREFIXES) if rng.random() < 0.6 else ""
    return f"{prefix} {text}".strip()


def prompt_for(task, objects, rng):
    """(prompt, spec, held out) that the scene fulfils, or None where the task does not fit the scene."""
    a = objects[0]
    place = relation = None
    if task in ("single object", "colours"):
        colour = a[1] if task == "colours" else None
        text, groups = noun(*(a[0], colour), article=rng.choice(("a", "a", "a", "one"))), [group(a[0], colour)]
    elif task == "counting":
        colour = a[1] if rng.random() < 0.5 else None
        text, groups = noun(a[0], colour, len(objects), "one"), [group(a[0], colour, len(objects))]
    elif task == "position" and len(objects) == 1:
        place = place_of(a)
        if place is None:
            return None
        colour = a[1] if rng.random() < 0.6 else None
        text, groups = f"{noun(a[0], colour)} {PLACES[place]}", [group(a[0], colour)]
    else:
        b = objects[1]
        if task == "position" and rng.random() < 0.5 or task != "position" and behind(a, b):
            a, b = b, a
        plain = task == "two objects" or (task == "position" and a[0] != b[0] and rng.random() < 0.35)
        if plain and a[0] == b[0]:
            return None
        left, right = (noun(o[0], None if plain else o[1]) for o in (a, b))
        groups = [group(o[0], None if plain else o[1]) for o in (a, b)]
        joint = "and"
        if task == "position":
            relation = relation_of(a, b)
            if relation is None:
                return None
            joint = rng.choice(RELATIONS[relation])
        text = f"{left} {joint} {right}"
        if not plain:
            prompt = prefixed(rng, text)
            return prompt, {"groups": groups, "place": None, "relation": relation}, pair_held_out(a, b)
    prompt = prefixed(rng, text)
    return prompt, {"groups": groups, "place": place, "relation": relation}, held_out(prompt)


def fulfils(found, spec, good=0.7):
    """Whether detected objects (detector.detect) are what the spec asks for, no more and no less."""
    if any(o["overlap"] < good for o in found) or len(found) != sum(g["count"] for g in spec["groups"]):
        return False
    firsts = []
    for g in spec["groups"]:
        hits = [o for o in found if o["shape"] == g["shape"] and g["colour"] in (None, o["colour"])]
        if len(hits) != g["count"]:
            return False
        firsts.append(hits[0])
    if spec["place"]:
        dx, dy = firsts[0]["x"] - 32, firsts[0]["y"] - 32
        if spec["place"] == "middle":
            return max(abs(dx), abs(dy)) <= 9
        far = {"left": -dx, "right": dx, "top": -dy, "bottom": dy}[spec["place"]]
        return far >= 6 and far >= max(abs(dx), abs(dy))
    if spec["relation"]:
        dx, dy = firsts[1]["x"] - firsts[0]["x"], firsts[1]["y"] - firsts[0]["y"]
        return {"left": dx, "right": -dx, "above": dy, "below": -dy}[spec["relation"]] > 8
    return True
