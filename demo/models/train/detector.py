"""Finds the shapes in a picture, exactly enough to judge drawings. `test/score/detector.ts` is the same algorithm.

Ground = per-channel median of the border. Foreground = pixels whose largest channel difference from it exceeds 60, split into
4-connected components. Colour = per-channel median of a component's inner pixels, nearest palette entry. Shape = best
intersection over union with templates of every shape at several radii, centred on the component's bounding box.
"""
import functools

import numpy as np

from scenes import COLOUR_NAMES, PALETTE, SHAPES, SIZE, SUB, inside

DIFFERENCE = 60
SPECK = 12  # smaller components are compression dust
RADII = [r / 2 for r in range(13, 28)]
GOOD = 0.7  # least overlap of an accepted shape
WINDOW = 18


@functools.lru_cache(None)
def template(shape, radius, half_x, half_y):
    """Pixels (at offsets -WINDOW..WINDOW from the pixel that holds the centre) at least half covered by the shape."""
    n = 2 * WINDOW + 1
    g = (np.arange(n * SUB) + 0.5) / SUB - WINDOW
    m = inside(shape, (g[None, :] - half_x / 2) / radius, (g[:, None] - half_y / 2) / radius)
    return m.reshape(n, SUB, n, SUB).sum((1, 3)) >= SUB * SUB / 2


def components(mask):
    """4-connected components, as lists of flat pixel indices in discovery order."""
    left = mask.ravel().tolist()
    out = []
    for seed in range(SIZE * SIZE):
        if not left[seed]:
            continue
        left[seed] = False
        found = [seed]
        for p in found:
            x = p % SIZE
            for q, ok in ((p - 1, x > 0), (p + 1, x < SIZE - 1), (p - SIZE, p >= SIZE), (p + SIZE, p < SIZE * (SIZE - 1))):
                if ok and left[q]:
                    left[q] = False
                    found.append(q)
        out.append(found)
    return out


def median(values):
    """Median along axis 0; of an even number, the mean of the two middle values."""
    return np.median(values, axis=0)


def detect(image):
    """Objects as dicts: shape, colour (names), x, y (mean pixel position), overlap (IoU with the best template)."""
    f = image.astype(np.float32)
    border = np.concatenate([f[0], f[-1], f[1:-1, 0], f[1:-1, -1]])
    mask = np.abs(f - median(border)).max(-1) > DIFFERENCE
    objects = []
    for found in components(mask):
        if len(found) < SPECK:
            continue
        own = np.zeros((SIZE, SIZE), bool)
        own.ravel()[found] = True
        ys, xs = np.divmod(np.array(found), SIZE)
        inner = own.copy()
        inner[1:] &= own[:-1]
        inner[:-1] &= own[1:]
        inner[:, 1:] &= own[:, :-1]
        inner[:, :-1] &= own[:, 1:]
        colour = int(((PALETTE - median(f[inner if inner.any() else own])) ** 2).sum(1).argmin())
        cx2, cy2 = int(xs.min() + xs.max() + 1), int(ys.min() + ys.max() + 1)  # twice the box centre
        canvas = np.zeros((SIZE + 2 * WINDOW, SIZE + 2 * WINDOW), bool)
        canvas[WINDOW:-WINDOW, WINDOW:-WINDOW] = own
        px, py = cx2 // 2, cy2 // 2
        window = canvas[py : py + 2 * WINDOW + 1, px : px + 2 * WINDOW + 1]
        best, overlap = 0, -1.0
        for shape in range(len(SHAPES)):
            for radius in RADII:
                m = template(shape, radius, cx2 % 2, cy2 % 2)
                inter = int((m & window).sum())
                iou = inter / (int(m.sum()) + len(found) - inter)
                if iou > overlap:
                    best, overlap = shape, iou
        objects.append(dict(shape=SHAPES[best], colour=COLOUR_NAMES[colour], x=float(xs.mean()) + 0.5, y=float(ys.mean()) + 0.5, overlap=overlap))
    return objects


def same_objects(found, objects):
    """Whether a detection is exactly the objects of a scene (kinds and rough places)."""
    if len(found) != len(objects) or any(o["overlap"] < GOOD for o in found):
        return False
    left = list(found)
    for shape, colour, x, y, _ in objects:
        hit = [o for o in left if o["shape"] == SHAPES[shape] and o["colour"] == COLOUR_NAMES[colour] and abs(o["x"] - x) < 4 and abs(o["y"] - y) < 4]
        if not hit:
            return False
        left.remove(hit[0])
    return True
