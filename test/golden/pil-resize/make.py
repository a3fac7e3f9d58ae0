"""Golden data of Pillow's bicubic resize and of the authors' image preprocessing.

    pip install -r ../janus-flow/requirements.txt
    python make.py --reference <a clone of deepseek-ai/Janus>

Writes resize.safetensors (uint8 [H,W,3]: `<case>.in` and `<case>.out`), preprocess.safetensors (the square uint8 image
after resize and padding, and float32 pixel values [3,S,S]) and cases.json (sizes, settings, versions).
The padded square is recomputed with the authors' own `resize`; pixel values come from their VLMImageProcessor.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import sys

import numpy as np
import PIL.Image
import torch
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "janus-flow"))
from reference import STUBS, Reference  # noqa: E402

# width x height before, after.
RESIZES = [
    ((53, 37), (48, 33)),
    ((17, 9), (64, 34)),
    ((200, 120), (48, 29)),
    ((5, 5), (5, 5)),
    ((1, 7), (3, 14)),
    ((9, 1), (14, 14)),
    ((1, 1), (4, 4)),
    ((2, 2), (7, 7)),
    ((64, 48), (64, 12)),
    ((64, 48), (16, 48)),
    ((31, 33), (32, 32)),
    ((300, 8), (20, 8)),
    ((40, 30), (80, 15)),
]
# width x height, image size, mean and std.
HALF, CLIP = ([0.5] * 3, [0.5] * 3), (
    [0.48145466, 0.4578275, 0.40821073],
    [0.26862954, 0.26130258, 0.27577711],
)
PREPROCESS = [
    ((53, 37), 32, HALF),
    ((20, 64), 32, HALF),
    ((53, 37), 96, CLIP),
    ((20, 64), 96, CLIP),
    ((48, 48), 48, HALF),
    ((100, 3), 48, HALF),
    ((3, 50), 48, HALF),
    ((7, 5), 48, HALF),
    ((383, 103), 192, HALF),
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("JANUS_REFERENCE"))
    reference = Reference(parser.parse_args().reference)
    tensors, resizes = {}, []
    for seed, (before, after) in enumerate(RESIZES):
        image = picture(*before, seed)
        name = f"{before[0]}x{before[1]}-{after[0]}x{after[1]}"
        tensors[f"{name}.in"] = image
        tensors[f"{name}.out"] = np.asarray(PIL.Image.fromarray(image).resize(after, PIL.Image.BICUBIC))
        resizes.append(dict(name=name, before=before, after=after))
    save_file(tensors, HERE / "resize.safetensors")

    tensors, preprocess = {}, []
    for seed, (before, size, (mean, std)) in enumerate(PREPROCESS):
        image = picture(*before, 100 + seed)
        processor = reference.VLMImageProcessor(image_size=size, min_size=14, image_mean=mean, image_std=std)
        pil = PIL.Image.fromarray(image)
        name = f"{before[0]}x{before[1]}-{size}-{seed}"
        square = processor.resize(pil)
        tensors[f"{name}.in"] = image
        tensors[f"{name}.square"] = np.ascontiguousarray(np.transpose(square, (1, 2, 0)))
        pixels = processor([pil], return_tensors="np").pixel_values[0]
        assert pixels.dtype == np.float32 and pixels.shape == (3, size, size)
        if size < 192:
            tensors[f"{name}.pixelValues"] = np.ascontiguousarray(pixels)
        preprocess.append(dict(
            name=name, before=before, imageSize=size, minSize=14, mean=mean, std=std,
            background=list(processor.background_color), pixelValues=size < 192,
        ))
    save_file(tensors, HERE / "preprocess.safetensors")
    for file in ("resize", "preprocess"):
        (HERE / f"{file}.safetensors").chmod(0o644)
    content = dict(
        provenance=dict(
            reference=dict(repository="https://github.com/deepseek-ai/Janus", commit=reference.commit()),
            libraries={name: importlib.metadata.version(name) for name in ("pillow", "numpy", "transformers")},
            stubs=STUBS,
            tolerance="uint8 results are equal; pixelValues to 1e-6",
        ),
        resize=resizes,
        preprocess=preprocess,
    )
    (HERE / "cases.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
