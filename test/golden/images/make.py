"""Small picture files of every accepted format, and what Pillow reads from them.

    pip install pillow==13.0.0 && python make.py

Writes the files and images.json: per file its size as a viewer shows it (EXIF rotation applied) and, for the lossless ones,
the bytes of `Image.convert("RGB")`, which drops alpha and ignores colour profiles. Lossy ones have their mean colour.
"""

import json
import pathlib

import numpy as np
import PIL
from PIL import Image, ImageOps, PngImagePlugin

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 21, 13


def picture():
    """A corner marked in red, so that a rotation shows, over noise."""
    image = np.random.default_rng(7).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    image[:4, :6] = (255, 0, 0)
    return image


def smooth():
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    image = np.stack([x * 12, y * 19, 255 - x * 6], axis=-1).astype(np.uint8)
    image[:8, :8] = (255, 0, 0)
    return image


def linear_gamma():
    """A gAMA chunk that says 1.0: a viewer that manages colours would show much brighter ones."""
    info = PngImagePlugin.PngInfo()
    info.add(b"gAMA", (100_000).to_bytes(4, "big"))
    return info


def main():
    rgb, soft = Image.fromarray(picture()), Image.fromarray(smooth())
    alpha = np.concatenate([picture(), (np.arange(HEIGHT * WIDTH) % 256).reshape(HEIGHT, WIDTH, 1)], axis=-1)
    rgba = Image.fromarray(alpha.astype(np.uint8))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    files = {
        "plain.png": lambda path: rgb.save(path),
        "alpha.png": lambda path: rgba.save(path),
        "palette.png": lambda path: rgb.quantize(16).save(path),
        "gray.png": lambda path: rgb.convert("L").save(path),
        "gamma.png": lambda path: rgb.save(path, pnginfo=linear_gamma()),
        "plain.bmp": lambda path: rgb.save(path),
        "plain.gif": lambda path: rgb.quantize(64).save(path),
        "animated.gif": lambda path: soft.quantize(32).save(
            path, save_all=True, append_images=[rgb.quantize(32)], duration=100, loop=0
        ),
        "lossless.webp": lambda path: rgb.save(path, lossless=True),
        "alpha.webp": lambda path: rgba.save(path, lossless=True, exact=True),
        "lossy.webp": lambda path: soft.save(path, quality=95),
        "lossy.jpg": lambda path: soft.save(path, quality=95),
        "progressive.jpg": lambda path: soft.save(path, quality=95, progressive=True),
        "rotated.jpg": lambda path: soft.save(path, quality=95, exif=rotated),
        "lossy.avif": lambda path: soft.save(path, quality=90),
    }
    entries = []
    for name, save in files.items():
        save(HERE / name)
        (HERE / name).chmod(0o644)
        shown = ImageOps.exif_transpose(Image.open(HERE / name)).convert("RGB")
        data = np.asarray(shown)
        entry = dict(name=name, width=shown.width, height=shown.height)
        lossy = name.endswith((".jpg", ".avif")) or name == "lossy.webp"
        entry |= dict(mean=data.reshape(-1, 3).mean(axis=0).round(3).tolist()) if lossy else dict(rgb=data.tobytes().hex())
        entries.append(entry)
    (HERE / "images.json").write_text(json.dumps(dict(pillow=PIL.__version__, images=entries), indent=1) + "\n")


if __name__ == "__main__":
    main()
