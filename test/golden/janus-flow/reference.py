"""Imports the authors' JanusFlow code (github.com/deepseek-ai/Janus) and makes it accept small sizes.

Nothing here computes: modules are imported from the authors' folder, and only constants that they hard-code
(1024, 2048 and 768 in the aligners, the SigLIP table, 576 tokens and 48x48 latents in the demo loop) are
replaced by the sizes in config.json.
"""

import ast
import contextlib
import importlib.abc
import importlib.machinery
import pathlib
import subprocess
import sys
import types

import diffusers  # noqa: F401  these look for torchvision, so they come before the stub
import PIL.Image
import torch
import transformers  # noqa: F401

STUBS = {
    "torchvision": "not installed. functional.resize is PIL's Image.resize(BICUBIC), to which torchvision forwards "
    "for PIL images; everything else is an empty name that is imported but never called.",
}


class _Anything:
    """A name that torchvision would have provided: importable, usable as a base class, never called."""

    def __init__(self, *args, **kwargs):
        raise RuntimeError("a stubbed torchvision name was used")


class _StubModule(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "InterpolationMode":
            return PIL.Image.Resampling
        return type(name, (_Anything,), {})


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        module = _StubModule(spec.name)
        if spec.name == "torchvision":
            module.__version__ = "0.0.0"
        if spec.name == "torchvision.transforms.functional":
            module.resize = _resize
        return module

    def exec_module(self, module):
        pass


def _resize(image, size, interpolation, antialias):
    assert interpolation == PIL.Image.BICUBIC and antialias
    return image.resize((size[1], size[0]), PIL.Image.BICUBIC)


class _SizedNN:
    """torch.nn, except that the sizes hard-coded in the authors' aligners become those of the config."""

    def __init__(self, sizes):
        self._sizes = sizes

    def __getattr__(self, name):
        return getattr(torch.nn, name)

    def Linear(self, inputs, outputs, bias):
        return torch.nn.Linear(self._sizes[inputs], self._sizes[outputs], bias=bias)

    def Parameter(self, value):
        assert value.shape == (1, 2048)
        return torch.nn.Parameter(torch.zeros(1, self._sizes[2048]))


class Reference:
    """The authors' classes, by name, and their demo loop."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        if not any(isinstance(finder, _StubFinder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _StubFinder())
        sys.path.insert(0, str(self.folder))
        from diffusers.models import AutoencoderKL
        from janus.janusflow.models import modeling_vlm, siglip_vit
        from janus.janusflow.models.image_processing_vlm import VLMImageProcessor
        from janus.janusflow.models.processing_vlm import VLChatProcessor

        self.modeling = modeling_vlm
        self.siglip_table = siglip_vit.SigLIP_MODEL_CONFIG
        self.MultiModalityConfig = modeling_vlm.MultiModalityConfig
        self.MultiModalityCausalLM = modeling_vlm.MultiModalityCausalLM
        self.VLMImageProcessor = VLMImageProcessor
        self.VLChatProcessor = VLChatProcessor
        self.AutoencoderKL = AutoencoderKL

    def commit(self):
        """The commit of the authors' repository."""
        return subprocess.check_output(["git", "-C", str(self.folder), "rev-parse", "HEAD"], text=True).strip()

    @contextlib.contextmanager
    def sized(self, config):
        """While this is open, MultiModalityCausalLM is built with the sizes of `config` (the dict in config.json)."""
        params = config["vision_und_enc_config"]["params"]
        hidden = config["language_config"]["hidden_size"]
        width = config["vision_gen_enc_config"]["params"]["block_out_channels"][0]
        sizes = {1024: params["width"], 2048: hidden, 768: width}
        name = params["model_name"]
        before = self.siglip_table.get(name), self.modeling.nn, self.modeling.LlamaRMSNorm
        self.siglip_table[name] = dict(
            image_size=params["image_size"], patch_size=params["patch_size"], width=params["width"],
            layers=params["layers"], heads=params["heads"], mlp_ratio=params["mlp_ratio"],
            global_pool="map", use_checkpoint=False,
        )
        norm = self.modeling.LlamaRMSNorm
        self.modeling.nn = _SizedNN(sizes)
        self.modeling.LlamaRMSNorm = lambda size, eps: norm(sizes[size], eps=eps)
        try:
            yield
        finally:
            table, self.modeling.nn, self.modeling.LlamaRMSNorm = before
            if table is None:
                del self.siglip_table[name]
            else:
                self.siglip_table[name] = table

    def demo_generate(self, model, processor, vae, tokens, side, latent_side, width):
        """The function `generate` of demo/app_janusflow.py, with its constants replaced and cuda/bfloat16 removed."""
        path = self.folder / "demo" / "app_janusflow.py"
        source = path.read_text()
        function = next(
            node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == "generate"
        )
        text = ast.get_source_segment(source, function)
        for old, new in [
            ("torch.stack([input_ids] * 10)", "torch.stack([input_ids] * 2)"),
            ("tokens[5:, 1:]", "tokens[1:, 1:]"),
            ("(5, 4, 48, 48)", f"(1, 4, {latent_side}, {latent_side})"),
            ("torch.ones((10, inputs_embeds.shape[1]+577))", f"torch.ones((2, inputs_embeds.shape[1]+{tokens + 1}))"),
            ("attention_mask[5:", "attention_mask[1:"),
            ("-576:", f"-{tokens}:"),
            ("24, 24, 768", f"{side}, {side}, {width}"),
            (".cuda()", ""),
            ("torch.bfloat16", "torch.float32"),
        ]:
            assert old in text, old
            text = text.replace(old, new)
        import numpy as np

        scope = dict(torch=torch, np=np, vl_gpt=model, vl_chat_processor=processor, vae=vae)
        exec(compile(text, str(path), "exec"), scope)
        return torch.inference_mode()(scope["generate"])
