"""Imports the authors' Nexus-Gen code and the DiffSynth classes that it calls, at other sizes than the published ones.

Nothing here computes: packages are imported without running their `__init__` files (which want CUDA and a dozen
libraries), and the sizes that FluxDiT hard-codes (3072, 24, 4096, 768, 38) come from the checkpoint's description.
"""

import importlib
import pathlib
import subprocess
import sys
import types

import torch


def _package(name, folder):
    """An empty package over a folder: its modules can be imported, its __init__ does not run."""
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module


class Reference:
    """The authors' classes. `nexus` and `diffsynth` are working trees."""

    def __init__(self, nexus, diffsynth):
        self.nexus, self.diffsynth = pathlib.Path(nexus), pathlib.Path(diffsynth)
        _package("nexus_ar", self.nexus / "modeling/ar")
        _package("nexus_decoder", self.nexus / "modeling/decoder")
        _package("diffsynth", self.diffsynth / "diffsynth")
        _package("diffsynth.models", self.diffsynth / "diffsynth/models")
        _package("diffsynth.schedulers", self.diffsynth / "diffsynth/schedulers")
        ar = importlib.import_module("nexus_ar.modeling_qwen2_5_vl")
        self.Model = ar.Qwen2_5_VLForConditionalGeneration
        self.Config = importlib.import_module("nexus_ar.configuration_qwen2_5_vl").Qwen2_5_VLConfig
        self.Processor = importlib.import_module("nexus_ar.processing_qwen2_5_vl").Qwen2_5_VLProcessor
        self.flux = importlib.import_module("diffsynth.models.flux_dit")
        self.TimestepEmbeddings = importlib.import_module("diffsynth.models.sd3_dit").TimestepEmbeddings
        self.Scheduler = importlib.import_module("diffsynth.schedulers.flow_match").FlowMatchScheduler

    def merger(self, config, context):
        """The editing merger of the authors' decoder package (V2 only)."""
        modules = importlib.import_module("nexus_decoder.modules")
        return modules.ImageEmbeddingMerger(config, num_layers=1, out_channel=context)

    def model(self, config, embeddings):
        """Their autoregressive model with another number of prefilled embeddings than 81."""
        model = self.Model(self.Config(**config))
        if hasattr(model, "image_prefill_embeds"):
            model.image_prefill_embeds = torch.nn.Embedding(embeddings, config["hidden_size"])
        return model.float().eval()

    def dit(self, spec):
        """FluxDiT as its __init__ builds it, with the sizes of `spec`; forward and every block are theirs."""
        flux, width, heads = self.flux, spec["hidden_size"], spec["heads"]

        class Sized(flux.FluxDiT):
            def __init__(self):
                torch.nn.Module.__init__(self)
                self.pos_embedder = flux.RoPEEmbedding(width, 10000, spec["axes_dims"])
                self.time_embedder = self_reference.TimestepEmbeddings(256, width)
                self.guidance_embedder = self_reference.TimestepEmbeddings(256, width)
                self.pooled_text_embedder = torch.nn.Sequential(
                    torch.nn.Linear(spec["pooled_size"], width), torch.nn.SiLU(), torch.nn.Linear(width, width)
                )
                self.context_embedder = torch.nn.Linear(spec["context_size"], width)
                self.x_embedder = torch.nn.Linear(spec["latent_channels"] * 4, width)
                self.blocks = torch.nn.ModuleList(
                    [flux.FluxJointTransformerBlock(width, heads) for _ in range(spec["layers"])]
                )
                self.single_blocks = torch.nn.ModuleList(
                    [flux.FluxSingleTransformerBlock(width, heads) for _ in range(spec["single_layers"])]
                )
                self.final_norm_out = flux.AdaLayerNormContinuous(width)
                self.final_proj_out = torch.nn.Linear(width, spec["latent_channels"] * 4)
                self.input_dim = spec["latent_channels"] * 4

        self_reference = self
        return Sized().eval()

    @staticmethod
    def adapter(width, context):
        """The adapter of modeling/decoder/generation_decoder.py, which spells the layers out with 3584 and 4096."""
        nn = torch.nn
        return nn.Sequential(
            nn.Linear(width, context), nn.LayerNorm(context), nn.ReLU(), nn.Linear(context, context), nn.LayerNorm(context)
        ).eval()

    def commit(self):
        """The commit of the authors' repository."""
        return subprocess.check_output(["git", "-C", str(self.nexus), "rev-parse", "HEAD"], text=True).strip()
