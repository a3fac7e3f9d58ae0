"""Golden data of Pillow's Lanczos resize.

    pip install pillow==11.0.0 numpy safetensors
    python lanczos.py

Writes lanczos.safetensors, uint8 [H,W,3]: `<w>x<h>-<W>x<H>.in` and `.out`, sizes before and after in the name.
"""

import pathlib

import numpy as np
import PIL.Image
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
RESIZES = [
    ((53, 37), (48, 33)),
    ((17, 9), (64, 34)),
    ((120, 70), (48, 28)),
    ((5, 5), (5, 5)),
    ((1, 7), (3, 14)),
    ((1, 1), (4, 4)),
    ((64, 48), (64, 12)),
    ((64, 48), (16, 48)),
    ((31, 33), (32, 32)),
]


def picture(width, height, seed):
    """Half noise, half hard edges: overshoot, clipping at 0 and 255 and rounding all occur."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    y, x = np.mgrid[0:height, 0:width]
    edges = ((x // 3 + y // 2) % 2 * 255).astype(np.uint8)
    image[(x + y) % 7 > 3] = edges[(x + y) % 7 > 3][:, None]
    return image


def main():
    tensors = {}
    for seed, (before, after) in enumerate(RESIZES):
        name = f"{before[0]}x{before[1]}-{after[0]}x{after[1]}"
        image = picture(*before, seed)
        tensors[f"{name}.in"] = image
        tensors[f"{name}.out"] = np.array(PIL.Image.fromarray(image).resize(after, PIL.Image.LANCZOS))
    save_file(tensors, HERE / "lanczos.safetensors", {"pillow": PIL.__version__})
    (HERE / "lanczos.safetensors").chmod(0o644)


if __name__ == "__main__":
    main()
