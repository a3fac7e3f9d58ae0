"""Training batches: drawing prompts and edits on banked latents, and questions on freshly rendered pictures."""
import numpy as np
import torch

import scenes as S
import vae as V
from prompts import prompt_for
from questions import GRIDS, question_for, scene_held_out
from tokens import EOS, FILLER, ID, PAD, START, UNK, drawing_ids, question_ids, words

DRAWINGS = {  # (task, family) -> weight
    ("single object", "single"): 1.0,
    ("colours", "single"): 1.3,
    ("counting", "single"): 0.3,
    ("position", "single"): 1.5,
    ("two objects", "pair"): 2.2,
    ("attribution", "pair"): 3.5,
    ("position", "pair"): 3.0,
    ("counting", "twins"): 1.3,
    ("counting", "triplets"): 1.8,
}
QUESTIONS = {"colour": 2.0, "shape": 1.0, "count": 2.0, "where": 5.0, "exists": 1.5, "caption": 4.0}
UNKNOWN = ID[UNK]
FILLERS = {ID[w] for w in FILLER.split()} - {ID["on"], ID["in"], ID["at"], ID["to"]}


def disturb(ids, rng, first):
    """Now and then hides a filler word or adds an unknown one after slot `first`, so that free typing does no harm."""
    if rng.random() < 0.06:
        at = [i for i, t in enumerate(ids) if t in FILLERS]
        if at and rng.random() < 0.6:
            ids[rng.choice(at)] = UNKNOWN
        else:
            ids.insert(first, UNKNOWN)
    return ids


class Drawings:
    """Random (prompt, latent, dense labels) triples of the bank."""

    def __init__(self, bank, rng):
        self.bank, self.rng, self.starts, total = bank, rng, {}, 0
        for name, group in bank["scenes"].items():
            self.starts[name] = total
            total += len(group)
        self.choices, self.weights = zip(*DRAWINGS.items())

    def one(self):
        """(ids, index into the bank)."""
        while True:
            task, family = self.rng.choices(self.choices, self.weights)[0]
            group = self.bank["scenes"][family]
            for _ in range(30):  # some tasks fit few scenes: keep the task, look for another scene
                i = self.rng.randrange(len(group))
                made = prompt_for(task, group[i], self.rng)
                if made and not made[2]:
                    return disturb(drawing_ids(made[0]), self.rng, 2), self.starts[family] + i

    def batch(self, count):
        rows, index = zip(*(self.one() for _ in range(count)))
        index = torch.tensor(index)
        return rows, self.bank["latents"][index].float(), self.bank["labels"][index].long(), self.bank["offsets"][index].float()


class Questions:
    """Random pictures, each with a few questions; ids are what follows the picture in the prompt."""

    def __init__(self, rng):
        self.rng = rng
        self.kinds, self.weights = zip(*QUESTIONS.items())

    def ask(self, objects):
        """(ids, where the answer starts)."""
        while True:
            made = question_for(self.rng.choices(self.kinds, self.weights)[0], objects, self.rng)
            if made:
                ask = disturb(question_ids(made[0])[len(START) :], self.rng, 0)
                return ask + words(made[1][0]) + [ID[EOS]], len(ask)

    def scenes(self, count):
        """Scenes that are not held out."""
        made = []
        while len(made) < count:
            o = S.free_scene(self.rng, self.rng.choice(GRIDS))
            if not scene_held_out(o):
                made.append(o)
        return made

    def batch(self, pictures, each):
        scenes = self.scenes(pictures)
        pixels = V.to_tensor(np.stack([S.render(o) for o in scenes])).contiguous()
        pixels = pixels + torch.randn_like(pixels) * torch.rand(pictures, 1, 1, 1) * 0.06
        labels, offsets = zip(*(S.patch_labels(o) for o in scenes))
        asked = [self.ask(o) for o in scenes for _ in range(each)]
        width = max(len(ids) for ids, _ in asked)
        ids = torch.full((len(asked), width), ID[PAD])
        target = torch.full((len(asked), width), -100)
        for i, (row, start) in enumerate(asked):
            ids[i, : len(row)] = torch.tensor(row)
            target[i, start - 1 : len(row) - 1] = ids[i, start : len(row)]
        return pixels, ids, target, torch.from_numpy(np.stack(labels)), torch.from_numpy(np.stack(offsets))


class Edits:
    """All encoded edits that are not held out."""

    def __init__(self, folder):
        more, own = (torch.load(f"{folder}/{n}.pt", weights_only=False) for n in ("more", "settled"))
        self.items = [*more["edits"], *own["edits"]]
        self.before, self.after = (torch.cat((more[k], own[k])) for k in ("before", "after"))

    def batch(self, count):
        """Edits (see edits.edit), latents before and after."""
        which = torch.randint(0, len(self.items), (count,))
        return [self.items[i] for i in which], self.before[which].float(), self.after[which].float()
