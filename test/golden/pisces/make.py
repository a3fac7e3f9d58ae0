"""Golden data of the pisces family: two small random checkpoints and what transformers and diffusers compute with them.

    pip install -r requirements.txt
    python make.py                        # --only a|b

There is no authors' code. The layout is src/models/pisces/README.md's; every network is the library's: LlamaForCausalLM,
SiglipVisionModel and SiglipImageProcessor's steps, UNet2DConditionModel, EulerDiscreteScheduler, AutoencoderKL, in
float32 on the CPU. What stands between them (two projectors, a head, the loop over vectors) is written here, after
Emu2's. The checkpoints are written first and then loaded from disk, as a user's would be.
"""

import argparse
import copy
import importlib.metadata
import json
import pathlib
import platform
import sys

import numpy as np
import PIL.Image
import torch
from diffusers import AutoencoderKL, EulerDiscreteScheduler, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from checkpoints import (
    BOS, CHECKPOINTS, EOT, IMAGE_END, IMAGE_START, PUBLISHED_TOWER, SCHEDULER, TOWER, Pisces, write_checkpoint, write_json,
)

HERE = pathlib.Path(__file__).parent
PHOTOS = {"photo-53x37.png": (53, 37, 1), "photo-20x64.png": (20, 64, 2)}
NEW_TOKENS = 16
MARGIN = 1e-3
PROMPT = "A painting of a lighthouse at dusk, highly detailed."
NEGATIVE_PROMPT = "blurry, red fox"
NOISE_SEED = 42
STEPS, GUIDANCE = [1, 4, 10], 3.0
PICTURE = "<picture>"
CONVERSATIONS = {
    "oneImage": ([("user", f"{PICTURE}What is in this picture? ")], [0]),
    "twoImages": ([("user", f" Which is brighter, {PICTURE} or {PICTURE}")], [0, 1]),
    "twoTurns": (
        [
            ("system", " Be brief.\n"), ("user", f"{PICTURE}\nWhat is it?"), ("assistant", "A small red fox, 今天 é."),
            ("user", "Is it a painting?"),
        ],
        [1],
    ),
    "textOnly": ([("user", "It's 12345, isn't it?")], []),
}
PHOTO_SIZES = {"a": (16, 16), "b": (48, 32)}


def photo(width, height, seed):
    """A synthetic photograph: gradients with noise, deterministic."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / (width - 1), 255 * y / (height - 1), 127 + 120 * np.sin(x / 5) * np.cos(y / 7)]
    return np.clip(np.stack(channels, -1) + random.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def write_photos():
    """Two PNG files of awkward sizes, shared by both checkpoints."""
    for name, (width, height, seed) in PHOTOS.items():
        PIL.Image.fromarray(photo(width, height, seed)).save(HERE / name, optimize=True)
    return [PIL.Image.open(HERE / name).convert("RGB") for name in PHOTOS]


def load_model(checkpoint):
    """The checkpoint's own tensors in transformers' classes, every name used."""
    config = json.loads((checkpoint / "config.json").read_text())
    tensors = {}
    for file in sorted(checkpoint.glob("*.safetensors")):
        tensors.update(load_file(file))
    names = Pisces(config).state_dict()
    old = any(name.startswith(PUBLISHED_TOWER) for name in names)
    tensors = {
        name if old else name.replace(PUBLISHED_TOWER, TOWER): value.float() for name, value in tensors.items()
    }
    model = Pisces(config)
    model.load_state_dict(tensors, strict=True)
    return model.eval(), config


def load_vae(folder):
    """The decoder; the encoder is not in the file."""
    vae = AutoencoderKL.from_config(json.loads((folder / "config.json").read_text()))
    report = vae.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"), strict=False)
    assert not report.unexpected_keys and all(key.startswith(("encoder", "quant")) for key in report.missing_keys)
    return vae.float().eval()


class Golden:
    """One checkpoint and everything that is recorded of it."""

    def __init__(self, name, folder):
        checkpoint = folder / "checkpoint"
        self.model, self.config = load_model(checkpoint)
        self.unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet", torch_dtype=torch.float32).eval()
        self.vae = load_vae(checkpoint / "vae")
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint / "tokenizer.json"))
        path = checkpoint / "preprocessor_config.json"
        self.preprocessor = json.loads(path.read_text()) if path.exists() else {}
        path = checkpoint / "scheduler"
        self.schedule = json.loads((path / "scheduler_config.json").read_text()) if path.exists() else SCHEDULER
        self.size = PHOTO_SIZES[name]  # width, height
        factor = 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.latent_shape = (4, self.size[1] // factor, self.size[0] // factor)
        self.double = copy.deepcopy(self.model).double()
        self.double_unet, self.double_vae = copy.deepcopy(self.unet).double(), copy.deepcopy(self.vae).double()
        self.tensors, self.noise_floor = {}, {}

    def record(self, name, value, double=None):
        """Keeps a tensor (float32, int32 or uint8) and, where a float64 run is given, how far apart the two are."""
        value = torch.as_tensor(value)
        if value.dtype != torch.uint8:
            value = value.to(torch.float32 if value.is_floating_point() else torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()
        if double is not None:
            error = (value.double() - double.double()).abs().max() / double.abs().max()
            self.noise_floor[name] = float(f"{error.item():.2g}")

    # -- seeing and writing ----------------------------------------------------------------------------------------

    def pixels(self, image):
        """What SiglipImageProcessor does: squashed to the tower's square (bicubic), scaled, normalised."""
        size = self.config["vision_config"]["image_size"]
        array = np.asarray(image.resize((size, size), PIL.Image.BICUBIC), dtype=np.float32) * np.float32(1 / 255)
        mean = np.float32(self.preprocessor.get("image_mean", [0.5] * 3))
        std = np.float32(self.preprocessor.get("image_std", [0.5] * 3))
        return torch.from_numpy(((array - mean) / std).transpose(2, 0, 1))[None]

    def see(self, model, pixels):
        """Tokens of the tower at the layer that the projector wants."""
        layer = self.config.get("vision_feature_layer", -1)
        output = model.vision_tower(pixels, output_hidden_states=True)
        return output.last_hidden_state if layer == -1 else output.hidden_states[layer]

    def images(self, photos):
        for index, image in enumerate(photos):
            pixels = self.pixels(image)
            self.record(f"image.{index}.pixelValues", pixels[0])
            tokens, exact = self.see(self.model, pixels), self.see(self.double, pixels.double())
            self.record(f"image.{index}.siglip", tokens[0], exact[0])
            projected = [model.understanding_projector(x)[0] for model, x in ((self.model, tokens), (self.double, exact))]
            self.record(f"image.{index}.projected", *projected)

    def template(self, messages):
        """LLaMA-3's chat template, without the date lines of 3.1's."""
        text = BOS
        for role, content in messages:
            text += f"<|start_header_id|>{role}<|end_header_id|>\n\n{content.strip()}{EOT}"
        return text + "<|start_header_id|>assistant<|end_header_id|>\n\n"

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False)

    def embed(self, model, ids):
        return model.language_model.get_input_embeddings()(torch.LongTensor([ids]))

    def prompt_embeds(self, model, text, features):
        """Text with a picture at every PICTURE: its features between the tags."""
        first, *rest = text.split(PICTURE)
        parts = [self.embed(model, self.ids(first + (IMAGE_START if rest else "")))]
        for index, (piece, feature) in enumerate(zip(rest, features, strict=True)):
            start = IMAGE_START if index < len(rest) - 1 else ""
            parts += [feature, self.embed(model, self.ids(IMAGE_END + piece + start))]
        return torch.cat(parts, 1)

    def greedy(self, embeds):
        """Ids of the answer and the smallest relative top-1/top-2 margin."""
        outputs = self.model.language_model.generate(
            inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
            eos_token_id=[self.tokenizer.convert_tokens_to_ids(EOT)], pad_token_id=0, max_new_tokens=NEW_TOKENS,
            do_sample=False, output_logits=True, return_dict_in_generate=True,
        )
        tops = [logits[0].topk(2).values for logits in outputs.logits]
        return outputs.sequences[0].tolist(), min(((top[0] - top[1]) / top[0].abs()).item() for top in tops)

    def understand(self, name, messages, photos, indices):
        """One case of understanding, from the messages to the decoded answer."""
        text = self.template(messages)
        embeds = {}
        for model, dtype in ((self.model, torch.float32), (self.double, torch.float64)):
            pixels = [self.pixels(photos[index]).to(dtype) for index in indices]
            features = [model.understanding_projector(self.see(model, x)) for x in pixels]
            embeds[model] = self.prompt_embeds(model, text, features)
        outputs = [model.language_model.model(inputs_embeds=embeds[model])[0] for model in embeds]
        heads = [model.language_model.lm_head for model in embeds]
        prefix = f"understand.{name}"
        self.record(f"{prefix}.hidden", *(output[0, -1] for output in outputs))
        self.record(f"{prefix}.logits", *(head(output[0, -1]) for head, output in zip(heads, outputs, strict=True)))
        ids, margin = self.greedy(embeds[self.model])
        assert margin > MARGIN, f"{name}: margin {margin:.2g}, choose another seed"
        slots = embeds[self.model].shape[1]
        return dict(
            messages=[dict(role=role, content=content) for role, content in messages], photos=indices, prompt=text,
            textIds=[self.ids(piece) for piece in text.split(PICTURE)], slots=slots, answerIds=ids,
            answer=self.tokenizer.decode(ids, skip_special_tokens=True), smallestMargin=margin,
            finishReason="stop" if ids[-1] == self.tokenizer.convert_tokens_to_ids(EOT) else "length",
        )

    # -- drawing ---------------------------------------------------------------------------------------------------

    def vectors(self, model, ids):
        """N hidden states and vectors, the whole sequence anew for each, as Emu2 does."""
        sequence, hidden, vectors = self.embed(model, ids), [], []
        for _ in range(self.config["num_image_vectors"]):
            state = model.language_model.model(inputs_embeds=sequence)[0][:, -1:]
            vector = model.generation_head(state)
            sequence = torch.cat([sequence, model.generation_projector(vector)], 1)
            hidden.append(state)
            vectors.append(vector)
        return torch.cat(hidden, 1), torch.cat(vectors, 1)

    def predict(self, unet, latents, timestep, conditions):
        """Predicted noise for one row of conditions [1, N, C]; `latents` are scaled already."""
        width, height = self.size
        time_ids = torch.tensor([[height, width, 0, 0, height, width]], dtype=conditions.dtype)
        added = dict(text_embeds=conditions.mean(1), time_ids=time_ids)
        return unet(latents, timestep, encoder_hidden_states=conditions, added_cond_kwargs=added)[0]

    def draw(self, unet, latents, rows, steps, guidance):
        """EulerDiscreteScheduler's loop over classifier-free guidance."""
        scheduler = EulerDiscreteScheduler.from_config(self.schedule)
        scheduler.set_timesteps(steps)
        x = latents * float(scheduler.init_noise_sigma)
        for timestep in scheduler.timesteps:
            scaled = scheduler.scale_model_input(x, timestep).to(latents.dtype)
            cond, uncond = (self.predict(unet, scaled, timestep, row) for row in rows)
            x = scheduler.step(uncond + guidance * (cond - uncond), timestep, x).prev_sample.to(latents.dtype)
        return x

    def generate(self):
        """Everything of text to image; returns what goes into goldens.json."""
        captions = dict(cond=PROMPT, uncond="", negative=NEGATIVE_PROMPT)
        ids, rows, exact_rows = {}, {}, {}
        for name, caption in captions.items():
            ids[name] = self.ids(self.template([("user", caption)]) + IMAGE_START)
            hidden, rows[name] = self.vectors(self.model, ids[name])
            exact_hidden, exact_rows[name] = self.vectors(self.double, ids[name])
            self.record(f"generate.{name}.hidden", hidden[0], exact_hidden[0])
            self.record(f"generate.{name}.vectors", rows[name][0], exact_rows[name][0])
        noise = torch.randn((1, *self.latent_shape), generator=torch.Generator().manual_seed(NOISE_SEED))
        probe = torch.randn((1, *self.latent_shape), generator=torch.Generator().manual_seed(7))
        self.record("generate.noise", noise[0])
        self.record("generate.latents", probe[0])
        scheduler = EulerDiscreteScheduler.from_config(self.schedule)
        scheduler.set_timesteps(50)
        times = []
        for index in (0, 24, 49):
            timestep, sigma = scheduler.timesteps[index], scheduler.sigmas[index]
            # The scheduler scales what it is given: the same here, so that the field's own scaling is seen too.
            scaled = probe / (sigma**2 + 1) ** 0.5
            for name in ("cond", "uncond"):
                value = self.predict(self.unet, scaled, timestep, rows[name])
                exact = self.predict(self.double_unet, scaled.double(), timestep, exact_rows[name])
                self.record(f"generate.t.{int(timestep)}.{name}", value[0], exact[0])
            times.append(dict(timestep=int(timestep), sigma=float(sigma)))
        runs = [("", "uncond", steps) for steps in STEPS] + [("negative.", "negative", 4)]
        for prefix, other, steps in runs:
            out = self.draw(self.unet, noise, (rows["cond"], rows[other]), steps, GUIDANCE)
            exact = self.draw(self.double_unet, noise.double(), (exact_rows["cond"], exact_rows[other]), steps, GUIDANCE)
            self.record(f"generate.{prefix}steps{steps}.latents", out[0], exact[0])
            if prefix == "" and steps == max(STEPS):
                final, exact_final = out, exact
        alone = self.draw(self.unet, noise, (rows["cond"], rows["uncond"]), 4, 1.0)
        self.record("generate.alone.steps4.latents", alone[0])
        self.decode("generate", final, exact_final)
        return dict(
            prompt=PROMPT, negativePrompt=NEGATIVE_PROMPT, promptIds=ids, noiseSeed=NOISE_SEED, guidance=GUIDANCE,
            width=self.size[0], height=self.size[1], latentShape=list(self.latent_shape), times=times,
            schedules={str(steps): self.numbers(steps) for steps in (1, 4, 50)},
        )

    def numbers(self, steps):
        """The scheduler's own numbers."""
        scheduler = EulerDiscreteScheduler.from_config(self.schedule)
        scheduler.set_timesteps(steps)
        return dict(
            sigmas=scheduler.sigmas.tolist(), timesteps=scheduler.timesteps.tolist(),
            noiseScale=float(scheduler.init_noise_sigma),
        )

    def decode(self, prefix, latents, exact):
        """VAE decode and Emu2's rounding."""
        factor = self.vae.config.scaling_factor
        decoded = self.vae.decode(latents / factor).sample
        self.record(f"{prefix}.decoded", decoded[0], self.double_vae.decode(exact / factor).sample[0])
        image = (decoded / 2 + 0.5).clamp(0, 1)[0].permute(1, 2, 0).numpy()
        self.record(f"{prefix}.pixels", (image * 255).round().astype(np.uint8))


def make(name, photos):
    folder = HERE / name
    spec = CHECKPOINTS[name]
    write_checkpoint(spec, folder / "checkpoint")
    golden = Golden(name, folder)
    with torch.inference_mode():
        golden.images(photos)
        understand = {
            case: golden.understand(case, messages, photos, indices)
            for case, (messages, indices) in CONVERSATIONS.items()
        }
        generate = golden.generate()
    save_file(golden.tensors, folder / "goldens.safetensors")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    write_json(folder / "goldens.json", dict(photos=list(PHOTOS), understand=understand, generate=generate))
    write_json(folder / "provenance.json", dict(
        reference=dict(
            repository="none: there is no public code. transformers and diffusers compute every network",
            template="https://github.com/baaivision/Emu/tree/main/Emu2",
        ),
        command=f"python make.py --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "diffusers", "safetensors", "numpy", "pillow",
        )},
        device="cpu",
        dtype="float32",
        seeds=dict(weights=spec["seed"], noise=NOISE_SEED, latents=7),
        tolerance=dict(
            float32="1e-4 relative to the largest absolute value of a tensor; noiseFloor is what float32 itself costs",
            pixels="off by one where a float32 difference crosses an integer",
            greedy=f"equal: every step's relative top-1/top-2 margin is above {MARGIN}",
        ),
        noiseFloor=golden.noise_floor,
    ))
    for key, value in golden.tensors.items():
        value = value.float()
        print(f"{key:40} {str(tuple(value.shape)):16} std {value.std():8.3f} max {value.abs().max():9.3f} "
              f"floor {golden.noise_floor.get(key, '')}")
    for case in understand.values():
        print(case["smallestMargin"], case["finishReason"], case["answerIds"], repr(case["answer"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    photos = write_photos()
    for name in [arguments.only] if arguments.only else sorted(CHECKPOINTS):
        make(name, photos)


if __name__ == "__main__":
    sys.exit(main())
