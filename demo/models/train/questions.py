"""Questions about a picture and their answers."""
import itertools

from prompts import NUMBERS, PLACES, bucket, noun, place_of
from scenes import COLOUR_NAMES, PLURALS, SHAPES, kind

GRIDS = (4, 8)  # pixels between the places of objects in the pictures that are asked about
KINDS = ["colour", "shape", "count", "where", "exists", "caption"]
CAPTION = ["describe the picture", "describe the image", "what do you see", "what is in the picture", "what is in the image", "describe this picture", "what is this"]


def scene_held_out(objects):
    """Whether a scene is kept for scoring."""
    return bucket(f"scene {sorted(objects)}", 10) == 0


def captions(objects):
    """Every accepted caption; the first one (groups from left to right) is what the model is taught."""
    groups = {}
    for o in sorted(objects, key=lambda o: (o[2], o[3])):
        groups[o[:2]] = groups.get(o[:2], 0) + 1
    parts = [noun(s, c, n) for (s, c), n in groups.items()]
    return [" and ".join(p) for p in itertools.permutations(parts)]


def name(objects, o, rng):
    """A noun phrase (without article) that means `o` alone, or None."""
    same_shape = [p for p in objects if p[0] == o[0]]
    same_kind = [p for p in objects if p[:2] == o[:2]]
    if len(same_kind) > 1:
        return None
    if len(same_shape) == 1 and rng.random() < 0.4:
        return SHAPES[o[0]]
    return f"{COLOUR_NAMES[o[1]]} {SHAPES[o[0]]}"


def question_for(which, objects, rng):
    """(question, accepted answers; the taught one first), or None where this kind of question does not fit the scene."""
    o = rng.choice(objects)
    if which == "caption":
        return rng.choice(CAPTION), captions(objects)
    if which == "colour":
        if any(p[0] == o[0] and p[1] != o[1] for p in objects):
            return None
        many = sum(p[0] == o[0] for p in objects) > 1
        subject = f"are the {PLURALS[o[0]]}" if many else f"is the {SHAPES[o[0]]}"
        return f"{rng.choice(('what', 'what', 'which'))} {rng.choice(('color', 'colour'))} {subject}", [COLOUR_NAMES[o[1]]]
    if which == "shape":
        if sum(p[1] == o[1] for p in objects) > 1:
            return None
        form = rng.choice(("what shape is {}", "what shape is the {} object", "what is the {} shape", "which shape is {}", "what is the {} object"))
        return form.format(COLOUR_NAMES[o[1]]), [SHAPES[o[0]], noun(o[0]), noun(*o[:2])]
    if which == "count":
        shape, colour = o[:2] if rng.random() < 0.75 else kind(rng)
        form = rng.randrange(4)
        if form == 0:
            return f"how many {rng.choice(('shapes', 'objects'))} are there", [NUMBERS[len(objects)]]
        if form == 1:
            return f"how many {PLURALS[shape]} are there", [NUMBERS[sum(p[0] == shape for p in objects)]]
        if form == 2:
            return f"how many {COLOUR_NAMES[colour]} {rng.choice(('shapes', 'objects'))} are there", [NUMBERS[sum(p[1] == colour for p in objects)]]
        return f"how many {COLOUR_NAMES[colour]} {PLURALS[shape]} are there", [NUMBERS[sum(p[:2] == (shape, colour) for p in objects)]]
    if which == "exists":
        yes = rng.random() < 0.5
        shape, colour = o[:2] if yes or rng.random() < 0.5 else kind(rng)
        form = rng.randrange(3)
        if not yes:
            shape, colour = (rng.randrange(len(SHAPES)), colour) if rng.random() < 0.5 else (shape, rng.randrange(len(COLOUR_NAMES)))
        if form == 0:
            truth, phrase = any(p[0] == shape for p in objects), noun(shape)
        else:
            truth, phrase = any(p[:2] == (shape, colour) for p in objects), noun(shape, colour)
        return f"{rng.choice(('is there', 'is there', 'do you see'))} {phrase}", ["yes" if truth else "no"]
    label = name(objects, o, rng)
    if label is None:
        return None
    place = place_of(o)
    return None if place is None else (f"where is the {label}", [PLACES[place], place])
