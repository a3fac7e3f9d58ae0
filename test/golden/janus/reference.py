"""Imports the authors' Janus code (github.com/deepseek-ai/Janus) and makes it accept small sizes.

Nothing here computes: modules are imported from the authors' folder, and only constants that they hard-code (the SigLIP
table, the VQ-GAN's channels) are replaced by the sizes in config.json.
"""

import contextlib
import importlib.util
import pathlib
import subprocess
import sys

# The torchvision stub is JanusFlow's.
_spec = importlib.util.spec_from_file_location(
    "janus_flow_reference", pathlib.Path(__file__).parent.parent / "janus-flow" / "reference.py"
)
_flow = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_flow)
STUBS = _flow.STUBS


class Reference:
    """The authors' classes, by name."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        sys.meta_path.insert(0, _flow._StubFinder())
        sys.path.insert(0, str(self.folder))
        from janus.models import modeling_vlm, siglip_vit, vq_model
        from janus.models.processing_vlm import VLChatProcessor

        self.siglip_table = siglip_vit.SigLIP_MODEL_CONFIG
        self.vq_model = vq_model
        self.MultiModalityConfig = modeling_vlm.MultiModalityConfig
        self.MultiModalityCausalLM = modeling_vlm.MultiModalityCausalLM
        self.VLChatProcessor = VLChatProcessor

    def commit(self):
        """The commit of the authors' repository."""
        return subprocess.check_output(["git", "-C", str(self.folder), "rev-parse", "HEAD"], text=True).strip()

    def build(self, config):
        """A model with these sizes, its weights as torch initialises them."""
        with self.sized(config):
            return self.MultiModalityCausalLM(self.MultiModalityConfig(**config))

    @contextlib.contextmanager
    def sized(self, config):
        """While this is open, MultiModalityCausalLM is built with the sizes of `config` (the dict in config.json)."""
        tower, picture = config["vision_config"]["params"], config["gen_vision_config"]["params"]
        name = tower["model_name"]
        before = self.siglip_table.get(name), self.vq_model.VQ_models["VQ-16"]
        self.siglip_table[name] = dict(
            image_size=tower["image_size"], patch_size=tower["patch_size"], width=tower["width"],
            layers=tower["layers"], heads=tower["heads"], mlp_ratio=tower["mlp_ratio"], global_pool="map",
            use_checkpoint=False,
        )
        self.vq_model.VQ_models["VQ-16"] = lambda: self._autoencoder(picture)
        try:
            yield
        finally:
            table, self.vq_model.VQ_models["VQ-16"] = before
            if table is None:
                del self.siglip_table[name]
            else:
                self.siglip_table[name] = table

    def _autoencoder(self, picture):
        arguments = self.vq_model.ModelArgs(
            codebook_size=picture["image_token_size"], codebook_embed_dim=picture["n_embed"],
            z_channels=picture["z_channels"],
        )
        sizes = {key: picture[key] for key in ("ch", "ch_mult", "num_res_blocks", "z_channels")}
        model = self.vq_model.VQModel(arguments)
        model.encoder, model.decoder = self.vq_model.Encoder(**sizes), self.vq_model.Decoder(**sizes)
        return model
