"""Numbers of torch's CPU generator: torch.Generator("cpu").manual_seed(seed), then torch.randn or torch.rand.

    pip install torch==2.13.0 && python make.py

Writes torch-random.json. Values are float32, written as the doubles they equal. Up to 31 values all are kept; of more the
first and last 32 and the float64 sum. Three things to know:
- from 16 values on randn takes another road (Box-Muller over blocks of 16, the last 16 drawn anew when the size is not a
  multiple of 16), below it values come in pairs and an odd one is kept for the next call;
- only the low 32 bits of a seed count;
- that road is vectorised where the CPU has AVX2, with its own log, sin and cos: results differ in the last bits between
  machines. `scalarDifference` is the largest such difference seen here (ATEN_CPU_CAPABILITY=default in a second process).
"""

import json
import os
import pathlib
import re
import subprocess
import sys

import torch

SEEDS = [0, 1, 42, 123456789, 2**32 + 5, 2**53 - 1]
SIZES = [1, 5, 15, 16, 17, 31, 256, 257, 9216]
# Consecutive calls on one generator: what is left over from one call reaches the next.
SEQUENCES = [
    [("randn", 5), ("randn", 4)],
    [("randn", 5), ("randn", 16), ("randn", 3)],
    [("randn", 1), ("randn", 1), ("randn", 1)],
    [("randn", 16), ("randn", 17)],
    [("randn", 256), ("randn", 256)],
    [("randn", 5), ("rand", 3), ("randn", 2)],
    [("rand", 3), ("randn", 16)],
    [("randn", 17), ("rand", 5)],
]


def draw(kind, size, generator, dtype=torch.float32):
    return getattr(torch, kind)(size, generator=generator, dtype=dtype)


def describe(values):
    """All values of a short tensor; ends and sum of a long one."""
    doubles = values.double()
    if len(values) <= 31:
        return dict(values=doubles.tolist())
    return dict(first=doubles[:32].tolist(), last=doubles[-32:].tolist(), sum=doubles.sum().item())


def single(kind, dtype=torch.float32, sizes=SIZES):
    return [
        dict(seed=seed, size=size, **describe(draw(kind, size, torch.Generator("cpu").manual_seed(seed), dtype)))
        for seed in SEEDS
        for size in sizes
    ]


def sequence(seed, calls):
    generator = torch.Generator("cpu").manual_seed(seed)
    return dict(
        seed=seed,
        calls=[dict(kind=kind, size=size, **describe(draw(kind, size, generator))) for kind, size in calls],
    )


def scalar_difference():
    """Largest absolute difference of randn(9216), seed 42, between this process and one without vector code."""
    code = (
        "import torch, sys; sys.stdout.buffer.write("
        "torch.randn(9216, generator=torch.Generator('cpu').manual_seed(42)).numpy().tobytes())"
    )
    environment = dict(os.environ, ATEN_CPU_CAPABILITY="default")
    data = subprocess.check_output([sys.executable, "-c", code], env=environment)
    scalar = torch.frombuffer(bytearray(data), dtype=torch.float32)
    mine = torch.randn(9216, generator=torch.Generator("cpu").manual_seed(42))
    return (scalar.double() - mine.double()).abs().max().item()


def main():
    torch.set_num_threads(1)
    content = dict(
        provenance=dict(
            torch=torch.__version__, cpu=torch.backends.cpu.get_cpu_capability(), scalarDifference=scalar_difference()
        ),
        randn=single("randn"),
        rand=single("rand"),
        randnBfloat16=single("randn", torch.bfloat16, [5, 16, 17, 256]),
        sequences=[sequence(seed, calls) for seed in (0, 42) for calls in SEQUENCES],
    )
    text = json.dumps(content, indent=1)
    # One list of numbers a line.
    text = re.sub(r"\[\s+([-\d][^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text)
    json.loads(text)
    pathlib.Path(__file__).with_name("torch-random.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
