"""What the authors' VQ-GANs make of a picture and of codes, at small sizes: Janus (LlamaGen's) and Chameleon (taming's).

    git clone https://github.com/deepseek-ai/Janus janus && git -C janus checkout 1daa72fa409002d40931bd7b36a9280362469ead
    git clone https://github.com/facebookresearch/chameleon
    pip install torch numpy safetensors && python make.py janus chameleon

Writes <name>.safetensors in float32: every weight under its own name, `image` [1,3,16,16], `features` [1,width,h,w] before
quantization, `codes` [h*w] int32 nearest to them, `otherCodes` [h*w], `decoded` and `otherDecoded` [1,3,16,16] of both. The only
change to the authors' code: 4 groups in their group norms instead of 32, so that 8 channels are enough. The metadata
has the sha256 of the file that was run.
"""

import hashlib
import importlib.metadata
import importlib.util
import pathlib
import sys

import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent
GROUPS, CODES, WIDTH, INNER = 4, 24, 4, 6
SOURCES = {"janus": "janus/models/vq_model.py", "chameleon": "chameleon/inference/vqgan.py"}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def few_groups(channels, *_):
    return torch.nn.GroupNorm(GROUPS, channels, eps=1e-6)


def janus(folder):
    """Two levels; attention behind every block of the deeper one."""
    module = load(folder / SOURCES["janus"])
    module.Normalize = few_groups
    sizes = dict(ch=8, ch_mult=[1, 2], num_res_blocks=1, z_channels=INNER)
    vq = module.VQModel(module.ModelArgs(codebook_size=CODES, codebook_embed_dim=WIDTH, z_channels=INNER))
    vq.encoder, vq.decoder = module.Encoder(**sizes), module.Decoder(**sizes)
    return vq


def chameleon(folder):
    """Three levels; attention at 8 pixels, which is the middle one."""
    module = load(folder / SOURCES["chameleon"])
    module.Normalize = few_groups
    sizes = dict(
        ch=8, ch_mult=[1, 2, 2], num_res_blocks=1, z_channels=INNER, attn_resolutions=[8], resolution=16, in_channels=3,
        out_ch=3, double_z=False, dropout=0.0,
    )
    return module.VQModel(sizes, CODES, WIDTH)


@torch.inference_mode()
def main():
    versions = {name: importlib.metadata.version(name) for name in ("torch", "safetensors")}
    for name, build, folder in zip(("janus", "chameleon"), (janus, chameleon), map(pathlib.Path, sys.argv[1:])):
        generator = torch.Generator().manual_seed(3)
        vq = build(folder).eval()
        for key, value in vq.state_dict().items():
            norm = "norm" in key and key.endswith("weight")
            value.copy_(torch.randn(value.shape, generator=generator) * (0.2 if value.ndim < 2 else value[0].numel() ** -0.5) + norm)
        image = torch.randn(1, 3, 16, 16, generator=generator).clamp(-1, 1)
        features = vq.quant_conv(vq.encoder(image))
        codes = vq.quantize(features)[2][2].flatten()
        other = torch.randint(0, CODES, codes.shape, generator=generator)
        shape = [1, features.shape[2], features.shape[3], WIDTH]

        def decode(indices):
            if name == "janus":
                return vq.decode_code(indices, [shape[0], shape[3], shape[1], shape[2]])
            return vq.decode(vq.quantize.get_codebook_entry(indices, shape))

        tensors = dict(
            vq.state_dict(), image=image, features=features, codes=codes.int(), otherCodes=other.int(),
            decoded=decode(codes), otherDecoded=decode(other),
        )
        tensors.pop("quantize.codebook_used", None)
        source = folder / SOURCES[name]
        metadata = dict(versions, source=SOURCES[name], sha256=hashlib.sha256(source.read_bytes()).hexdigest())
        save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / f"{name}.safetensors", metadata)
        print(name, features.shape, codes.tolist(), decode(codes).std(), features.std())


main()
