"""The world: 64x64 pictures of one to three coloured shapes on white, how they are laid out and how they are rendered.

An object is the tuple (shape, colour, x, y, radius): indices into SHAPES and COLOURS, the centre and radius in pixels.
Every random choice goes through the `random.Random` that the caller passes, so that seeds reproduce everything.
"""
import functools
import math

import numpy as np

SIZE = 64
GROUND = (255, 255, 255)
SHAPES = ["circle", "square", "triangle", "cross", "star"]
PLURALS = ["circles", "squares", "triangles", "crosses", "stars"]
COLOURS = {
    "red": (225, 35, 40),
    "green": (25, 165, 60),
    "blue": (40, 75, 235),
    "yellow": (245, 205, 20),
    "purple": (150, 40, 175),
    "black": (25, 25, 25),
}
COLOUR_NAMES = list(COLOURS)
PALETTE = np.array(list(COLOURS.values()), np.float32)
SUB = 4  # sub-pixels per pixel and axis
STAR = [
    ((1.0 if i % 2 == 0 else 0.45) * math.sin(math.pi * i / 5), -(1.0 if i % 2 == 0 else 0.45) * math.cos(math.pi * i / 5) + 0.095)
    for i in range(10)
]


def inside(shape, x, y):
    """True where the points (x, y), in radii from the centre, lie in the shape. Every shape's box is centred on 0."""
    if shape == 0:
        return x * x + y * y <= 1
    if shape == 1:
        return np.maximum(abs(x), abs(y)) <= 0.88
    if shape == 2:
        return (y <= 0.9) & (y >= -0.9) & (abs(x) <= (y + 0.9) / 1.8)
    if shape == 3:
        return ((abs(x) <= 0.34) & (abs(y) <= 1)) | ((abs(y) <= 0.34) & (abs(x) <= 1))
    odd = np.zeros(np.broadcast(x, y).shape, bool)
    for i in range(10):
        (x0, y0), (x1, y1) = STAR[i], STAR[(i + 1) % 10]
        odd ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0 + 1e-12) + x0)
    return odd


@functools.lru_cache(None)
def sprite(shape, radius):
    """Coverage (0..1) of a shape centred on the corner between the four middle pixels of a (2h x 2h) window."""
    h = int(radius) + 2
    g = (np.arange(2 * h * SUB) + 0.5) / SUB - h
    m = inside(shape, g[None, :] / radius, g[:, None] / radius)
    return m.reshape(2 * h, SUB, 2 * h, SUB).mean((1, 3)).astype(np.float32)


def render(objects):
    """The picture (64, 64, 3) uint8 of a list of objects; objects may hang over the edge."""
    h = 16
    image = np.empty((SIZE + 2 * h, SIZE + 2 * h, 3), np.float32)
    image[:] = GROUND
    for shape, colour, x, y, r in objects:
        m = sprite(shape, r)
        k = m.shape[0] // 2
        part = image[h + y - k : h + y + k, h + x - k : h + x + k]
        part += (PALETTE[colour] - part) * m[..., None]
    return (image[h:-h, h:-h] + 0.5).astype(np.uint8)


def patch_labels(objects, patch=16):
    """Per patch: shape+1, colour+1 (0 = empty) and the offset of the covering object's centre, in patches."""
    n = SIZE // patch
    best = np.zeros((n, n), np.float32) + 0.06
    label = np.zeros((n, n, 2), np.int64)
    offset = np.zeros((n, n, 2), np.float32)
    for shape, colour, x, y, r in objects:
        canvas = np.zeros((SIZE + 32, SIZE + 32), np.float32)
        m = sprite(shape, r)
        k = m.shape[0] // 2
        canvas[16 + y - k : 16 + y + k, 16 + x - k : 16 + x + k] = m
        cover = canvas[16:-16, 16:-16].reshape(n, patch, n, patch).mean((1, 3))
        here = cover > best
        best = np.where(here, cover, best)
        label[here] = (shape + 1, colour + 1)
        c = (np.arange(n) + 0.5) * patch
        offset[here] = np.stack(np.broadcast_arrays((x - c[None, :]) / patch, (y - c[:, None]) / patch), -1)[here]
    return label.reshape(-1, 2), offset.reshape(-1, 2)


def spot(rng, step, low=12, high=52):
    """A centre on a grid of `step` pixels."""
    n = (high - low) // step
    return low + step * rng.randint(0, n), low + step * rng.randint(0, n)


def apart(p, q, radius, gap):
    """Whether shapes of this radius at these centres keep a gap (in pixels), whatever they are."""
    dx, dy = abs(p[0] - q[0]), abs(p[1] - q[1])
    return dx * dx + dy * dy >= (2 * radius + gap) ** 2 and max(dx, dy) >= 1.76 * radius + gap


def spread(rng, count, radius, step, gap=2):
    """`count` centres, far enough apart for shapes of this radius (squares corner to corner too) not to touch."""
    while True:
        places = []
        for _ in range(40):
            p = spot(rng, step)
            if all(apart(p, q, radius, gap) for q in places):
                places.append(p)
                if len(places) == count:
                    return places


def kind(rng):
    """A random (shape, colour)."""
    return rng.randrange(len(SHAPES)), rng.randrange(len(COLOURS))


def other_kind(rng, taken):
    """A random (shape, colour) that is not in `taken`."""
    while True:
        k = kind(rng)
        if k not in taken:
            return k


def free_scene(rng, step=1):
    """One to three objects of any kind anywhere: the pictures that questions are asked about and the VAE sees."""
    count = rng.choice((1, 2, 2, 3, 3))
    kinds = []
    for i in range(count):
        kinds.append(kinds[-1] if i and rng.random() < 0.35 else kind(rng))
    rng.shuffle(kinds)
    radius = rng.randint(9, {1: 12, 2: 11, 3: 10}[count])
    return [(s, c, x, y, radius) for (s, c), (x, y) in zip(kinds, spread(rng, count, radius, step))]
