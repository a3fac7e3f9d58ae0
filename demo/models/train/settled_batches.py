"""Captions with one answer for training, and what they are answered with: the vectors of a picture."""
import torch

from sequence import LATENT, TOKENS, latents, patches
from settled import WEIGHTS, caption, key

PLACE = 2.0
SIZE = LATENT + TOKENS  # of a vector


def vectors_of(z):
    """Latents (B, 4, 8, 8) -> vectors (B, 16, 32): 2x2 cells of the latents, and which of the 16 places they are from.

    Whoever looks at the vectors (a UNet's cross attention, FLUX's context) sees a set: each has to say itself where it belongs.
    """
    return torch.cat((patches(z), (PLACE * torch.eye(TOKENS)).expand(len(z), -1, -1)), -1)


def picture_of(vectors):
    """Latents that vectors stand for."""
    return latents(vectors[..., :LATENT])


def disturbed(vectors, most):
    """Vectors with noise of up to `most`, another strength for every picture; a third stays as it is."""
    strength = (torch.rand(len(vectors), 1, 1) * 1.5 - 0.5).clamp(min=0) * most
    scale = torch.cat((torch.ones(LATENT), 0.2 * torch.ones(vectors.shape[-1] - LATENT)))
    return vectors + strength * scale * torch.randn_like(vectors)


class Captions:
    """Random captions that are not held out, each with the place of its picture in `latents`."""

    def __init__(self, folder, rng):
        bank, more, own = (torch.load(f"{folder}/{n}.pt", weights_only=False) for n in ("bank", "more", "settled"))
        self.rng, (singles, pairs) = rng, (bank["scenes"][n] for n in ("single", "pair"))
        triples = [(i, e["before"]) for i, e in enumerate(more["edits"]) if len(e["before"]) == 3]
        drawn = len(singles) + len(pairs)
        chosen = torch.tensor([i for i, _ in triples])
        self.latents = torch.cat((bank["latents"][:drawn], more["before"][chosen], own["latents"]))
        self.scenes = [singles, pairs, [t for _, t in triples]]
        self.starts = [0, len(singles), drawn]
        every = [*singles, *pairs, *(t for _, t in triples), *own["scenes"]]
        self.index = {key(o): i for i, o in enumerate(every)}
        self.tasks, self.weights = zip(*WEIGHTS.items())

    def one(self):
        """(prompt, index)."""
        while True:
            task, at = self.rng.choices(self.tasks, self.weights)[0], None
            if task == "place":
                which = self.rng.choices(range(3), (0.15, 0.6, 0.25))[0]
                at = self.rng.randrange(len(self.scenes[which]))
                made = caption(task, self.rng, self.scenes[which][at])
                at += self.starts[which]
            else:
                made = caption(task, self.rng)
            if not made["held"]:
                return made["prompt"], self.index[key(made["scene"])] if at is None else at

    def batch(self, count):
        """Prompts, and latents (count, 4, 8, 8)."""
        prompts, index = zip(*(self.one() for _ in range(count)))
        return prompts, self.latents[torch.tensor(index)].float()
