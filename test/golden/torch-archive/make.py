"""Writes small PyTorch archives with torch itself, and what is in them as tensors.json.

    python test/golden/torch-archive/make.py

Needs torch (any CPU build). Nothing here is ever loaded with pickle by the tests.
"""
import collections
import json
import pathlib
import platform
import zipfile

import torch

HERE = pathlib.Path(__file__).parent


class Evil:
    """Runs a command in whoever unpickles it."""

    def __reduce__(self):
        return (print, ("this pickle ran",))


def numbers(*shape):
    count = 1
    for size in shape:
        count *= size
    return torch.linspace(-1, 1, count).reshape(shape)


def flat():
    shared = numbers(4, 6)
    return collections.OrderedDict(
        {
            "f32": numbers(3, 5),
            "bf16": numbers(2, 7).bfloat16(),
            "f16": numbers(9).half(),
            "f64": numbers(2, 2).double(),
            "i64": torch.arange(-3, 4),
            "u8": torch.arange(5, dtype=torch.uint8),
            "bool": torch.tensor([True, False, True]),
            "f8": numbers(4).to(torch.float8_e4m3fn),
            "scalar": torch.tensor(0.5),
            "empty": torch.zeros(0, 4),
            "parameter": torch.nn.Parameter(numbers(2, 3)),
            "shared": shared,
            "shared.again": shared,
            "shared.rows": shared[1:3],
            "ones.in.shape": numbers(1, 6).t().contiguous().t(),
            "transposed": numbers(2, 3).t(),
            "expanded": numbers(1, 3).expand(4, 3),
        }
    )


def write(name, value, **options):
    torch.save(value, HERE / name, **options)


def describe(tensors):
    return {
        name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape),
               "values": tensor.detach().double().flatten().tolist()}
        for name, tensor in tensors.items()
    }


def repacked(source, target):
    """The same archive by another writer: no alignment, no records behind the entries."""
    with zipfile.ZipFile(HERE / source) as old, zipfile.ZipFile(HERE / target, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))


def main():
    torch.manual_seed(0)
    weights = flat()
    write("flat.bin", weights)
    write("protocol-4.bin", weights, pickle_protocol=4)
    model = torch.nn.Linear(3, 2)
    model.weight.data = numbers(2, 3)
    model.bias.data = numbers(2)
    write("module.pth", model.state_dict())  # carries _metadata as an attribute
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    write("training.ckpt", {
        "epoch": 3, "global_step": 2**40, "lr": 1e-4, "pytorch-lightning_version": "1.0.8",
        "callbacks": {}, "optimizer_states": [optimizer.state_dict()], "sizes": torch.Size([2, 3]),
        "state_dict": {"weight": numbers(2, 3), "bias": numbers(2)},
    })
    write("model.pt", {"model": {"weight": numbers(2, 3), "bias": numbers(2)}, "step": torch.tensor(7)})
    write("evil.bin", {"weight": numbers(2), "other": Evil()})
    write("no-tensors.bin", {"epoch": 3})
    write("legacy.bin", {"weight": numbers(2)}, _use_new_zipfile_serialization=False)
    repacked("flat.bin", "repacked.bin")
    (HERE / "tensors.json").write_text(json.dumps(describe(weights), indent=1) + "\n")
    (HERE / "provenance.json").write_text(json.dumps(
        {"torch": torch.__version__, "python": platform.python_version(),
         "made_by": "test/golden/torch-archive/make.py"}, indent=2) + "\n")


if __name__ == "__main__":
    main()
