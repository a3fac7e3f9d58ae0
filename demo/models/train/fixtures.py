"""Writes the pictures with Python's verdicts that test/unit/score/detector.test.ts checks the TypeScript detector against.

usage: python fixtures.py <work folder with vae/> <output.json>
"""
import base64
import json
import random
import sys
import zlib

import numpy as np
import torch
from diffusers import AutoencoderKL

import detector
import scenes as S
import vae as V
from progress import held_out_prompts
from prompts import fulfils


def entry(name, image, spec):
    found = detector.detect(image)
    rgb = base64.b64encode(zlib.compress(image.tobytes(), 9)).decode()
    return dict(name=name, rgb=rgb, found=found, spec=spec, fulfils=fulfils(found, spec))


if __name__ == "__main__":
    torch.manual_seed(0)
    noise, rng = np.random.default_rng(0), random.Random(0)
    vae = AutoencoderKL.from_pretrained(sys.argv[1] + "/vae").eval()
    prompts = held_out_prompts(2, 99)
    truth = np.stack([S.render(p["scene"]) for p in prompts])
    out = [entry("rendered: " + p["prompt"], i, p["spec"]) for p, i in zip(prompts, truth)]
    with torch.no_grad():
        z = V.moments(vae, V.to_tensor(truth))[0]
        soft = V.to_images(V.decode(vae, z))
        broken = V.to_images(V.decode(vae, 0.5 * z + 4 * torch.randn_like(z)))
    out += [entry("decoded: " + p["prompt"], i, p["spec"]) for p, i in zip(prompts, soft)]
    out += [entry("broken: " + p["prompt"], i, p["spec"]) for p, i in zip(prompts[::3], broken[::3])]
    spec = prompts[0]["spec"]
    out.append(entry("empty", np.full((64, 64, 3), 255, np.uint8), spec))
    out.append(entry("noise", noise.integers(0, 256, (64, 64, 3), dtype=np.uint8), spec))
    out.append(entry("wrong shape", S.render([(4, 0, 32, 32, 12)]), dict(spec, groups=[dict(count=1, shape="circle", colour=None)])))
    out.append(entry("wrong colour", S.render([(0, 0, 32, 32, 12)]), dict(spec, groups=[dict(count=1, shape="circle", colour="blue")])))
    out.append(entry("over the edge", S.render([(1, 2, 4, 60, 12)]), dict(spec, groups=[dict(count=1, shape="square", colour="blue")])))
    out.append(entry("touching", S.render([(1, 0, 20, 32, 10), (1, 0, 37, 32, 10)]), dict(spec, groups=[dict(count=2, shape="square", colour="red")])))
    with open(sys.argv[2], "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(e) for e in out) + "\n]\n")
    print(len(out), "pictures,", sum(e["fulfils"] for e in out), "fulfil their spec")
