"""Imports the authors' OmniGen code (github.com/VectorSpaceLab/OmniGen) as it is.

Nothing here computes but two stand-ins: torchvision's ToTensor and Normalize (a few lines each), and a posterior whose
sample is its mean. timm is imported by the authors' file and never used.
"""

import importlib
import importlib.abc
import importlib.machinery
import json
import pathlib
import subprocess
import sys
import types

import diffusers  # these look for torchvision, so they come before the stub
import numpy as np
import torch
import transformers
from diffusers.models.autoencoders import vae as diffusers_vae
from safetensors.torch import load_file

STUBS = {
    "torchvision": "not installed. transforms.Compose, Lambda, ToTensor and Normalize are written again: bytes / 255, "
    "then (x - mean) / std, in float32.",
    "timm": "not installed: the names that the authors' model.py imports are never used.",
}
PATCHES = [
    "DiagonalGaussianDistribution.sample() is its mode(): input pictures are encoded without noise",
    "pos_embed_max_size of config.json is given to the constructor, which the authors leave at 192",
]


class Compose:
    def __init__(self, steps):
        self.steps = steps

    def __call__(self, value):
        for step in self.steps:
            value = step(value)
        return value


class ToTensor:
    def __call__(self, picture):
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)


class Normalize:
    def __init__(self, mean, std, inplace=False):
        self.mean, self.std = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))

    def __call__(self, value):
        return value.sub(self.mean).div(self.std)


class _Never:
    def __init__(self, *args, **kwargs):
        raise RuntimeError("a stubbed name was used")


class _StubModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "transforms":
            return importlib.import_module("torchvision.transforms")
        return type(name, (_Never,), {})


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STUBS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = _StubModule(spec.name)
        if spec.name == "torchvision.transforms":
            module.Compose, module.Lambda = Compose, lambda function: function
            module.ToTensor, module.Normalize = ToTensor, Normalize
        return module

    def exec_module(self, module):
        pass


class Reference:
    """The authors' classes."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        import peft  # noqa: F401

        _ = transformers.Phi3Model, diffusers.AutoencoderKL, diffusers.OmniGenTransformer2DModel
        from diffusers.loaders import PeftAdapterMixin  # noqa: F401

        sys.meta_path.insert(0, _StubFinder())
        sys.path.insert(0, str(self.folder))
        import OmniGen as package
        from OmniGen.utils import crop_arr

        self.package, self.crop_arr = package, crop_arr
        self.AutoencoderKL = diffusers.AutoencoderKL
        self.OmniGenTransformer2DModel = diffusers.OmniGenTransformer2DModel
        diffusers_vae.DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()

    def commit(self):
        return subprocess.run(
            ["git", "-C", str(self.folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()

    def empty_model(self, checkpoint, grid):
        """The authors' model of a config.json, weights as their constructor leaves them."""
        from OmniGen.transformer import Phi3Config

        config = Phi3Config.from_pretrained(checkpoint)
        return self.package.OmniGen(config, pos_embed_max_size=grid)

    def load_model(self, checkpoint):
        """What OmniGen.from_pretrained does, for a grid of any size."""
        grid = json.loads((checkpoint / "config.json").read_text()).get("pos_embed_max_size", 192)
        model = self.empty_model(checkpoint, grid)
        missing, unexpected = model.load_state_dict(load_file(checkpoint / "model.safetensors"), strict=False)
        assert missing in ([], ["pos_embed"]) and not unexpected, (missing, unexpected)
        return model.float().eval()
