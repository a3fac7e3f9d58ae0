"""Imports Meta's Chameleon inference code (github.com/facebookresearch/chameleon) and makes it accept small sizes.

Nothing here computes but `HuggingFaceAdapter`, which gives Meta's decoders the logits of transformers' Chameleon: their
own Transformer needs xformers' CUDA kernels. Only constants that their code hard-codes (1024 tokens of a picture, 1026
with its marks, a 32 x 32 grid) are replaced.
"""

import importlib
import pathlib
import subprocess
import sys
import types

import torch

STUBS = {
    "xformers": "not installed. Their Transformer is never built; only its names are imported.",
    "model adapter": "ChameleonModelAdapter is replaced by one that runs transformers' ChameleonForConditionalGeneration "
    "on every row without its padding and without a cache, before that class hides the logits of image ids.",
}


class _StubModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class HuggingFaceAdapter:
    """What ChameleonModelAdapter is to Meta's decoders: padded ids of several rows -> logits of their last position."""

    model = None

    def __init__(self, model, max_seq_len, dtype=None):
        self.model = model

    def initialize(self, prompt_tokens):
        self.lengths = [len(row) for row in prompt_tokens]
        self.width = max(self.lengths)

    def supports_alignment(self, alignment):
        return True

    def __call__(self, inputs):
        grown = inputs.shape[1] - self.width
        rows = [row[-(length + grown):] for row, length in zip(inputs, self.lengths)]
        return torch.stack([logits(self.model, row.tolist())[-1:] for row in rows])


def logits(model, ids):
    """Logits [length, vocabulary] of transformers' model, image ids included."""
    return model.lm_head(hidden(model, ids))


def hidden(model, ids):
    """Hidden states behind the final norm, [length, hidden]."""
    return model.model(input_ids=torch.LongTensor([ids]), use_cache=False).last_hidden_state[0]


class Reference:
    """The modules of a clone of facebookresearch/chameleon."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        sys.path.insert(0, str(self.folder))
        for name in ("xformers", "xformers.ops", "xformers.ops.fmha", "xformers.ops.fmha.attn_bias"):
            sys.modules.setdefault(name, _StubModule(name))
        package = "chameleon.inference"
        self.vqgan = importlib.import_module(f"{package}.vqgan")
        self.vocab = importlib.import_module(f"{package}.vocab")
        self.image_tokenizer = importlib.import_module(f"{package}.image_tokenizer")
        self.commit = subprocess.run(
            ["git", "-C", str(self.folder), "rev-parse", "HEAD"], capture_output=True, text=True
        ).stdout.strip()

    def decoders(self, codes):
        """Their chameleon.py for pictures of `codes` tokens."""
        path = self.folder / "chameleon/inference/chameleon.py"
        source = path.read_text().replace("1026", str(codes + 2)).replace("1024", str(codes))
        module = types.ModuleType("chameleon_small")
        sys.modules["chameleon_small"] = module
        exec(compile(source, str(path), "exec"), module.__dict__)
        module.ChameleonModelAdapter = HuggingFaceAdapter
        return module
