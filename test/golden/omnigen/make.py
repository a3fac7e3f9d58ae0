"""Golden data of the omnigen family: two small random checkpoints and what the authors' code computes with them.

    git clone https://github.com/VectorSpaceLab/OmniGen omnigen && git -C omnigen checkout d4752019ae16741dc3801fd4989432aad4c81a4f
    pip install -r requirements.txt
    python make.py --reference omnigen     # or OMNIGEN_REFERENCE=omnigen; --only a|b

Every number comes from the authors' OmniGen, OmniGenProcessor, OmniGenScheduler and OmniGenPipeline (transformers' Phi-3,
diffusers' AutoencoderKL) in float32 on the CPU, without their key/value cache: it runs on GPUs alone, and its first step
sees the condition only (VectorSpaceLab/OmniGen issue 196). The checkpoints are written first and then loaded from disk.
Every velocity is computed by diffusers' OmniGenTransformer2DModel too, and must be the same.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import platform
import sys

import numpy as np
import PIL.Image
import torch
from safetensors.torch import save_file

from checkpoints import CHECKPOINTS, NEGATIVE_PROMPT, model_config, write_checkpoint, write_json
from reference import PATCHES, STUBS, Reference

HERE = pathlib.Path(__file__).parent
PHOTOS = {"photo-53x37.png": (53, 37, 1), "photo-20x64.png": (20, 64, 2)}
PROMPT = "A curly-haired man in a red shirt is drinking tea."
NEGATIVE = "blurry, red fox"
TAGS = ["<img><|image_1|></img>", "<img><|image_2|></img>"]
# Prompt and photos of each case.
CASES = {
    "text": (PROMPT, []),
    "edit": (f"{TAGS[0]} Remove the hat of the woman in the image.", [0]),
    "two": (f"The man in {TAGS[0]} sits beside the fox of {TAGS[1]}.", [0, 1]),
    "again": (f"{TAGS[1]}{TAGS[0]} drinks tea, {TAGS[1]} é 水 not.", [0, 1]),
}
TIMES = {"0": 0.0, "0.02": 0.02, "0.5": 0.5, "0.98": 0.98}
RUNS = [
    dict(case="text", steps=1, guidance=2.5),
    dict(case="text", steps=4, guidance=2.5),
    dict(case="text", steps=10, guidance=3.0),
    dict(case="edit", steps=4, guidance=2.5, imageGuidance=1.6),
    dict(case="two", steps=4, guidance=2.5, imageGuidance=1.6),
    dict(case="two", steps=4, guidance=2.5, imageGuidance=2.5),
]
SEED = 42
CROPS = [(53, 37, 1024), (20, 64, 1024), (300, 170, 64), (10, 40, 64), (33, 129, 48), (200, 90, 40), (100, 31, 64)]


def photo(width, height, seed):
    """A synthetic photograph: gradients with noise, deterministic."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / (width - 1), 255 * y / (height - 1), 127 + 120 * np.sin(x / 5) * np.cos(y / 7)]
    return np.clip(np.stack(channels, -1) + random.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def pattern(width, height):
    """A picture that tests can make again: bytes out of small whole numbers."""
    y, x, c = np.mgrid[0:height, 0:width, 0:3]
    return ((x * 7 + y * 13 + c * 29 + (x * y) % 31) % 256).astype(np.uint8)


def write_photos():
    for name, size in PHOTOS.items():
        PIL.Image.fromarray(photo(*size)).save(HERE / name, optimize=True)


def crops(reference):
    """crop_arr of pictures of awkward sizes."""
    tensors = {}
    for width, height, largest in CROPS:
        cropped = reference.crop_arr(PIL.Image.fromarray(pattern(width, height)), largest)
        tensors[f"crop.{width}x{height}.{largest}"] = torch.from_numpy(np.array(cropped))
    return tensors


class Golden:
    """One checkpoint: loads it through the authors' classes and records their outputs."""

    def __init__(self, reference, spec, folder):
        package, checkpoint = reference.package, folder / "checkpoint"
        self.spec, self.reference = spec, reference
        self.model = reference.load_model(checkpoint)
        self.processor = package.OmniGenProcessor.from_pretrained(str(checkpoint))
        self.vae = reference.AutoencoderKL.from_pretrained(checkpoint / "vae").eval()
        self.pipeline = package.OmniGenPipeline(self.vae, self.model, self.processor, device="cpu")
        self.width, self.height = spec["picture"]
        self.twin = self.make_twin(model_config(spec))
        self.tensors, self.noise_floor, self.twin_error = {}, {}, 0.0

    def record(self, name, value):
        value = torch.as_tensor(value)
        if value.dtype != torch.uint8:
            value = value.to(torch.float32 if value.is_floating_point() else torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()

    def make_twin(self, config):
        """diffusers' model with the same weights under its names."""
        twin = self.reference.OmniGenTransformer2DModel(
            hidden_size=config["hidden_size"], rms_norm_eps=config["rms_norm_eps"],
            num_attention_heads=config["num_attention_heads"], num_key_value_heads=config["num_key_value_heads"],
            intermediate_size=config["intermediate_size"], num_layers=config["num_hidden_layers"], pad_token_id=0,
            vocab_size=config["vocab_size"], max_position_embeddings=config["max_position_embeddings"],
            original_max_position_embeddings=config["original_max_position_embeddings"],
            rope_base=config["rope_theta"], rope_scaling=config["rope_scaling"], pos_embed_max_size=self.spec["grid"],
        ).eval()
        self.twin_config = {key: value for key, value in twin.config.items() if not key.startswith("_use")}
        head = config["hidden_size"] // config["num_attention_heads"]
        parts = [head * config["num_attention_heads"]] + [head * config["num_key_value_heads"]] * 2
        weights = {}
        for name, value in self.model.state_dict().items():
            name = twin_name(name)
            if "qkv_proj" not in name:
                weights[name] = value
                continue
            for letter, part in zip("qkv", value.split(parts)):
                weights[name.replace("qkv_proj", f"to_{letter}")] = part
        twin.load_state_dict(weights)
        self.twin_names = sorted(weights)
        return twin

    def inputs(self, case):
        """The authors' processor: three (or two) branches, each by itself."""
        prompt, photos = CASES[case]
        paths = [str(HERE / list(PHOTOS)[index]) for index in photos]
        return self.processor(
            [prompt], [paths] if paths else None, height=self.height, width=self.width,
            use_img_cfg=bool(paths), separate_cfg_input=True,
        )

    def branches(self, case):
        data = self.inputs(case)
        names = ["cond", "uncond", "imageCond"][: len(data["input_ids"])]
        for index, name in enumerate(names):
            latents = [self.pipeline.vae_encode(pixels, torch.float32) for pixels in data["input_pixel_values"][index]]
            yield name, dict(
                input_ids=data["input_ids"][index], input_img_latents=latents,
                input_image_sizes=data["input_image_sizes"][index], attention_mask=data["attention_mask"][index],
                position_ids=data["position_ids"][index],
            )

    def velocity(self, z, time, branch):
        """The authors' forward without a cache; diffusers' must give the same."""
        v = self.model(z, torch.tensor([time]), return_past_key_values=False, **branch)
        twin = self.twin(z, torch.tensor([time]), return_dict=False, **branch)[0]
        error = ((v - twin).abs().max() / v.abs().max()).item()
        assert error < 2e-5, error
        self.twin_error = max(self.twin_error, error)
        return v

    def conditions(self):
        """Ids, places of pictures, and embeddings of every branch; what it takes to encode the photos."""
        shown = {}
        for case in CASES:
            for name, branch in self.branches(case):
                ids, sizes = branch["input_ids"][0].tolist(), branch["input_image_sizes"].get(0, [])
                length = branch["position_ids"].shape[-1]
                shown.setdefault(case, dict(prompt=CASES[case][0], photos=CASES[case][1], branches={}))
                shown[case]["branches"][name] = dict(
                    ids=ids, pictures=[list(size) for size in sizes], length=length,
                    isLong=length > self.spec["language"]["original_max_position_embeddings"],
                )
        data = self.inputs("two")
        for index, pixels in enumerate(data["input_pixel_values"][0]):
            self.record(f"photo.{index}.pixels", pixels[0])
            latents = self.pipeline.vae_encode(pixels, torch.float32)
            self.record(f"photo.{index}.latents", latents[0])
            embedded, _, _ = self.model.patch_multiple_resolutions([latents], is_input_images=True)
            self.record(f"photo.{index}.embeddings", embedded[0][0])
        text = dict(self.branches("text"))["cond"]["input_ids"]
        self.record("text.embeddings", self.model.llm.embed_tokens(text)[0])
        return shown

    def velocities(self):
        probe = torch.randn((1, 4, self.height // 8, self.width // 8), generator=torch.Generator().manual_seed(7))
        self.record("probe", probe[0])
        for case in ("text", "edit", "two"):
            branches = dict(self.branches(case))
            for label, time in TIMES.items() if case != "edit" else [("0.5", 0.5)]:
                for name, branch in branches.items():
                    self.record(f"{case}.t.{label}.{name}", self.velocity(probe, time, branch)[0])

    def run(self, run):
        """The authors' pipeline from seed to picture; the loop below it is its scheduler's."""
        prompt, photos = CASES[run["case"]]
        paths = [str(HERE / list(PHOTOS)[index]) for index in photos]
        seen = []
        decode = self.vae.decode
        self.vae.decode = lambda latents: (seen.append(latents), decode(latents))[1]
        pictures = self.pipeline(
            prompt, paths or None, height=self.height, width=self.width, num_inference_steps=run["steps"],
            guidance_scale=run["guidance"], img_guidance_scale=run.get("imageGuidance", 1.6), use_kv_cache=False,
            offload_kv_cache=False, separate_cfg_infer=True, dtype=torch.float32, seed=SEED,
            use_img_guidance=run.get("imageGuidance") != run["guidance"],
        )
        self.vae.decode = decode
        name = run_name(run)
        self.record(f"{name}.latents", seen[0][0] * self.vae.config.scaling_factor)
        if run == RUNS[1]:
            self.record(f"{name}.decoded", decode(seen[0]).sample[0])
        self.record(f"{name}.pixels", torch.from_numpy(np.array(pictures[0])))

    def negative(self):
        """A negative prompt of the user's: the processor takes one, the pipeline does not pass it on."""
        data = self.processor(
            [PROMPT], None, height=self.height, width=self.width, use_img_cfg=False, separate_cfg_input=True,
            negative_prompt=NEGATIVE,
        )
        branch = dict(
            input_ids=data["input_ids"][1], input_img_latents=[], input_image_sizes={},
            attention_mask=data["attention_mask"][1], position_ids=data["position_ids"][1],
        )
        self.record("negative.t.0.5.uncond", self.velocity(self.tensors["probe"][None], 0.5, branch)[0])
        return dict(prompt=NEGATIVE, ids=data["input_ids"][1][0].tolist())


def twin_name(name):
    """A checkpoint name of the authors' in diffusers' words (scripts/convert_omnigen_to_diffusers.py)."""
    pairs = [
        ("llm.", ""), ("input_x_embedder.proj", "patch_embedding.input_image_proj"),
        ("x_embedder.proj", "patch_embedding.output_image_proj"), ("pos_embed", "patch_embedding.pos_embed"),
        ("mlp.0.", "linear_1."), ("mlp.2.", "linear_2."), ("final_layer.adaLN_modulation.1", "norm_out.linear"),
        ("final_layer.linear", "proj_out"), ("self_attn.o_proj", "self_attn.to_out.0"),
    ]
    for old, new in pairs:
        name = name.replace(old, new)
    return name


def run_name(run):
    image = f".image{run['imageGuidance']:g}" if "imageGuidance" in run else ""
    return f"{run['case']}.steps{run['steps']}.guidance{run['guidance']:g}{image}"


def make(reference, name):
    """Writes <name>/checkpoint, <name>/goldens.safetensors, <name>/goldens.json and <name>/provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    write_checkpoint(reference, spec, folder / "checkpoint")
    golden = Golden(reference, spec, folder)
    with torch.inference_mode():
        cases = golden.conditions()
        golden.velocities()
        negative = golden.negative()
        for run in RUNS:
            golden.run(run)
    if name == "a":
        golden.tensors.update(crops(reference))
    save_file(golden.tensors, folder / "goldens.safetensors")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    write_json(folder / "goldens.json", dict(
        photos=list(PHOTOS), width=golden.width, height=golden.height, seed=SEED, negativePrompt=NEGATIVE_PROMPT,
        cases=cases, negative=negative, runs=[dict(run, name=run_name(run)) for run in RUNS],
        crops=[list(crop) for crop in CROPS] if name == "a" else [],
        diffusers=dict(config=golden.twin_config, names=golden.twin_names),
    ))
    write_json(folder / "provenance.json", dict(
        reference=dict(repository="https://github.com/VectorSpaceLab/OmniGen", commit=reference.commit()),
        twin="diffusers.OmniGenTransformer2DModel computes every velocity, branch by branch; largest relative "
        f"difference {golden.twin_error:.1g}",
        command=f"python make.py --reference <OmniGen> --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "diffusers", "safetensors", "numpy", "pillow",
        )},
        device="cpu",
        dtype="float32",
        attention=golden.model.llm.config._attn_implementation,
        seeds=dict(weights=spec["seed"], noise=SEED, probe=7),
        stubs=STUBS,
        patches=PATCHES,
    ))
    for key, value in golden.tensors.items():
        print(f"{key:44} {str(tuple(value.shape)):16} std {value.float().std():8.3f} max {value.float().abs().max():9.3f}")
    for case, item in cases.items():
        print(case, {branch: (len(b["ids"]), b["length"], b["isLong"]) for branch, b in item["branches"].items()})
    print("twin", golden.twin_error)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("OMNIGEN_REFERENCE"), help="a clone of VectorSpaceLab/OmniGen")
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    arguments = parser.parse_args()
    if not arguments.reference:
        parser.error("--reference or OMNIGEN_REFERENCE must name a clone of VectorSpaceLab/OmniGen")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    write_photos()
    reference = Reference(arguments.reference)
    for name in [arguments.only] if arguments.only else sorted(CHECKPOINTS):
        make(reference, name)


if __name__ == "__main__":
    sys.exit(main())
