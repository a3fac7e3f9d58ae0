"""Random numbers of torch's CPU generator, for src/base/random.ts. Run: python make.py

Writes streams.json beside this file: for each seed a list of calls on ONE generator, in order,
with the values they gave. Long results are kept as their first and last 40 values and a checksum
(the exact sum of the uniforms' 24-bit integers, or the plain sum of the normals in float64).
"""
import json
import pathlib

import torch

SEEDS = [0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**53 - 1, -1, -42, -(2**53 - 1)]
CALLS = [("rand", 5), ("randn", 1), ("randn", 3), ("randn", 15), ("randn", 16), ("randn", 2), ("randn", 17),
         ("randn", 31), ("rand", 700), ("randn", 9216), ("randn", 1)]
KEEP = 40


def record(kind, count, values):
    flat = [float(v) for v in values.flatten()]
    entry = {"kind": kind, "count": count}
    if count <= 2 * KEEP:
        return {**entry, "values": flat}
    total = sum(v * 2**24 for v in flat) if kind == "rand" else sum(flat)
    return {**entry, "first": flat[:KEEP], "last": flat[-KEEP:], "sum": total}


def stream(seed):
    generator = torch.Generator("cpu").manual_seed(seed)
    calls = []
    for kind, count in CALLS:
        make = torch.rand if kind == "rand" else torch.randn
        calls.append(record(kind, count, make(count, generator=generator)))
    return {"seed": seed, "calls": calls}


if __name__ == "__main__":
    here = pathlib.Path(__file__).parent
    golden = {"torch": torch.__version__, "command": "python make.py", "streams": [stream(seed) for seed in SEEDS]}
    (here / "streams.json").write_text(json.dumps(golden) + "\n")
