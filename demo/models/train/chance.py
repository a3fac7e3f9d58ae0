"""The random numbers that the library picks tokens with (src/gpu/random.ts), so that a reference can pick the same ones."""
import numpy as np
import torch

MASK = 0xFFFFFFFF


def uniform(seed, counter):
    """A number in [0, 1) with 24 bits: pcg3d of (low and high word of the seed, counter)."""
    x, y, z = ((w * 1664525 + 1013904223) & MASK for w in (seed & MASK, (seed >> 32) & MASK, counter))

    def cross(x, y, z):
        x = (x + y * z) & MASK
        y = (y + z * x) & MASK
        return x, y, (z + x * y) & MASK

    x, y, z = cross(x, y, z)
    x, y, z = (w ^ (w >> 16) for w in (x, y, z))
    return (cross(x, y, z)[0] >> 8) * 2.0**-24


def pick(logits, seeds, counter, temperature=1.0):
    """Ids (B) drawn from logits (B, V), row by row with its seed: by the inverse of the running sum over ids; the largest at temperature 0."""
    if temperature == 0:
        return logits.argmax(-1)
    p = np.exp((logits - logits.amax(-1, keepdim=True)).double().numpy() / temperature)
    sums = p.cumsum(-1)
    goal = np.array([[uniform(s, counter)] for s in seeds]) * sums[:, -1:]
    return torch.from_numpy((sums <= goal).sum(-1).clip(max=p.shape[-1] - 1))
