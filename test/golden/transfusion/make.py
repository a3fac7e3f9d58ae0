"""Golden data of the transfusion family: two small random models and what transfusion-pytorch computes with them.

    pip install -r requirements.txt
    python make.py                         # --only a|b

Every number comes from the library's Transfusion class and diffusers' AutoencoderKL in float32 on the CPU. The
checkpoints are written first and then loaded from disk. Sequences are computed whole, without a key/value cache, with
`Transfusion.forward` as `sample_many` starts a sample: earlier pictures at time 1. Where the library's own samplers can
run (see "checked" in provenance.json), they are run too and must agree. README.md in this folder lists the tensors.
"""

import argparse
import contextlib
import copy
import importlib.metadata
import json
import pathlib
import platform
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torchdiffeq import odeint

from checkpoints import CHECKPOINTS, build, write_checkpoint

HERE = pathlib.Path(__file__).parent
PROMPT = "A painting of a lighthouse at dusk"
NEGATIVE_PROMPT = "blurry, red fox"
TIMES = [0.0, 0.1, 0.5, 0.9]
FLOWS = [("midpoint", 1, 3.0), ("midpoint", 4, 1.0), ("midpoint", 4, 3.0), ("midpoint", 15, 3.0), ("euler", 4, 3.0)]
NEW_TOKENS = 10
MARGIN = 5e-4
NOISE_SEED = 42
WORDS = ("a fox", "the lake", "red", "a house", "dusk", "the sky", "leaves", "12345", "colors", "autumn", "Привет", "sits")
CANDIDATES = [f"{start} {end}" for start in ("Draw", "Then", "A picture of", "What is", "Show") for end in WORDS]


def photo(height, width, seed):
    """A synthetic photograph as [3, height, width] in [0, 1], exact in eight bits."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * x / (width - 1), 255 * y / (height - 1), 127 + 120 * np.sin(x / 5) * np.cos(y / 7)]
    planes = np.clip(np.stack(planes) + random.normal(0, 25, (3, height, width)), 0, 255).round()
    return torch.from_numpy(planes.astype(np.uint8))


@contextlib.contextmanager
def precision(dtype):
    """The library makes its buffers in the default type and says float() here and there."""
    single = torch.Tensor.float
    torch.set_default_dtype(dtype)
    torch.Tensor.float = lambda value: value.to(dtype)
    yield
    torch.Tensor.float = single
    torch.set_default_dtype(torch.float32)


class Golden:
    """One checkpoint, loaded through the library, and what was recorded of it."""

    def __init__(self, spec, folder):
        checkpoint = folder / "checkpoint"
        self.spec, self.config = spec, json.loads((checkpoint / "config.json").read_text())
        self.vae = AutoencoderKL.from_pretrained(checkpoint / "vae").eval()
        self.model = build(self.config, self.vae, self.config.get("patch_size", 1))
        missing, unexpected = self.model.load_state_dict(
            {name: value.float() for name, value in load_file(checkpoint / "model.safetensors").items()}, strict=False
        )
        assert not unexpected and all(name.startswith("modality_") for name in missing), (missing, unexpected)
        self.model.eval()
        self.double = copy.deepcopy(self.model).double()
        self.tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
        self.tensors, self.noise_floor, self.checked = {}, {}, []
        height, width = self.config["modality_default_shape"]
        self.shape, self.dim_latent = (height, width), self.config["dim_latent"]
        factor = self.config.get("patch_size", 1) * 2 ** (len(self.vae.config.block_out_channels) - 1)
        self.pixels = (height * factor, width * factor)

    def record(self, name, value, double=None):
        value = torch.as_tensor(value).detach()
        value = value.to(torch.float32 if value.is_floating_point() else value.dtype)
        if not value.is_floating_point() and value.dtype != torch.uint8:
            value = value.to(torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()
        if double is not None:
            error = (value.double() - double.double()).abs().max() / double.abs().max()
            self.noise_floor[name] = float(f"{error.item():.2g}")

    # -- sequences: lists of id tensors and (0, latents) -----------------------------------------------------------

    def ids(self, text):
        return torch.tensor(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def meta(self):
        """What training puts before a picture: the shape that the transformer sees, which a convolution makes smaller."""
        probe = torch.zeros(self.channels(torch.zeros(*self.shape, self.dim_latent)).shape)
        height, width, _ = self.model.latent_to_model_projs[0](probe[None])[0].shape
        text = self.model.char_tokenizer(f"{height},{width}")
        return torch.cat((torch.tensor([self.model.meta_id]), text, torch.tensor([self.model.som_ids[0]])))

    def channels(self, latents):
        """[h, w, d] as the library wants it."""
        return latents.permute(2, 0, 1) if self.config.get("channel_first_latent") else latents

    def sequence(self, *parts):
        """[sos], texts and pictures with their marks."""
        ids = [torch.tensor([self.model.sos_id])]
        for part in parts:
            if isinstance(part, str):
                ids.append(self.ids(part))
            elif isinstance(part, tuple):
                ids += [self.meta(), part, torch.tensor([self.model.eom_ids[0]])]
            else:
                ids.append(part)
        return ids

    def null(self, sequence):
        return [
            part if isinstance(part, tuple) else torch.full_like(part, self.model.null_text_id) for part in sequence
        ]

    def forward(self, model, sequence, time=None):
        """embed [tokens, dim], and the flow of the last picture, [h, w, d] (at `time`, all before it at 1)."""
        dtype = next(model.parameters()).dtype
        parts = [part if torch.is_tensor(part) else (part[0], part[1].to(dtype)) for part in sequence]
        pictures = sum(isinstance(part, tuple) for part in parts)
        times = torch.ones((1, pictures), dtype=dtype)
        if time is not None:
            times[0, -1] = time
        with precision(dtype):
            embed, flows = model.forward(
                [parts], times=times if pictures else None, return_loss=False, return_embed=True,
                decoding_text_or_modality="text" if time is None else "modality",
            )
        if time is None:
            return embed[0], None
        flow = model.model_to_latent_projs[0](flows[0][-1](embed)[None])[0]
        return embed[0], flow.permute(1, 2, 0) if self.config.get("channel_first_latent") else flow

    # -- text ------------------------------------------------------------------------------------------------------

    def greedy(self, sequence, tokens):
        """Ids until [eos] or [som] (which is included), and the smallest relative top-1/top-2 margin."""
        ids, margins = [], []
        while len(ids) < tokens and not (ids and ids[-1] in (self.model.eos_id, self.model.som_ids[0])):
            answered = [torch.tensor(ids)] if ids else []
            embed, _ = self.forward(self.model, [*sequence, *answered])
            logits = self.model.to_text_logits(embed[-1])
            top = logits.topk(2).values
            margins.append(((top[0] - top[1]) / top[0].abs()).item())
            ids.append(logits.argmax().item())
        return ids, min(margins)

    def write(self, name, sequence, content):
        """One case of text: hidden states, logits and greedy tokens."""
        embed, _ = self.forward(self.model, sequence)
        exact, _ = self.forward(self.double, sequence)
        self.record(f"write.{name}.hidden", embed, exact)
        self.record(f"write.{name}.logits", self.model.to_text_logits(embed[-1]), self.double.to_text_logits(exact[-1]))
        ids, margin = self.greedy(sequence, NEW_TOKENS)
        assert margin > MARGIN, f"{name}: margin {margin:.2g}, choose another seed"
        if self.is_plain():
            given = [part for part in sequence]
            given[0] = given[0][1:] if len(given[0]) > 1 else None
            sampled = self.model.sample_many([[part for part in given if part is not None]], max_length=len(ids) - 1,
                                             text_temperature=0.0, return_unprocessed_modalities=True)[0]
            assert sampled[-1][-len(ids):].tolist() == ids or ids[-1] == self.model.som_ids[0]
            self.checked.append(f"sample_many: greedy tokens of {name}")
        return dict(
            content=content, ids=[part.tolist() if torch.is_tensor(part) else None for part in sequence],
            answerIds=ids, answer=self.decode(ids), smallestMargin=margin,
        )

    def decode(self, ids):
        return self.tokenizer.decode([i for i in ids if i < self.config["num_text_tokens"]])

    def is_plain(self):
        """True where sample_many has no known fault: no convolution, no axial positions."""
        return "pre_post_transformer_enc_dec" not in self.config and not self.config.get("add_pos_emb")

    def case(self, *parts, wanted):
        """Parts with a candidate for "*" whose greedy answer meets a condition on its ids, clearly."""
        for words in CANDIDATES:
            filled = [part.replace("*", words) if isinstance(part, str) else part for part in parts]
            ids, margin = self.greedy(self.sequence(*filled), NEW_TOKENS)
            if margin > MARGIN and wanted(ids):
                return filled
        raise SystemExit("no candidate prompt meets the condition: choose another seed")

    # -- flow ------------------------------------------------------------------------------------------------------

    def velocity(self, model, histories, guidance, z, time):
        picture = (0, self.channels(z))
        cond = self.forward(model, [*histories[0], picture], time)[1]
        if guidance == 1:
            return cond
        uncond = self.forward(model, [*histories[1], picture], time)[1]
        return uncond + guidance * (cond - uncond)

    def flow(self, model, histories, method, steps, guidance, noise):
        """The library's odeint over its own grid: `steps` is its modality_steps - 1."""
        noise = noise.to(next(model.parameters()).dtype)
        times = torch.linspace(0, 1, steps + 1, dtype=noise.dtype)
        return odeint(lambda t, z: self.velocity(model, histories, guidance, z, t), noise, times,
                      atol=1e-5, rtol=1e-5, method=method)[-1]

    def draw(self, name, history, flows, times=TIMES, negative=None):
        histories = history, negative or self.null(history)
        probe, noise = self.tensors["draw.latents"], self.tensors["draw.noise"]
        count = probe.shape[0] * probe.shape[1]
        for time in times:
            for row, label in zip(histories, ("Cond", "Uncond")):
                embed, v = self.forward(self.model, [*row, (0, self.channels(probe))], time)
                exact_embed, exact = self.forward(self.double, [*row, (0, self.channels(probe))], time)
                self.record(f"{name}.t{time:g}.v{label}", v, exact)
                if time == 0.5 and label == "Cond":
                    self.record(f"{name}.t{time:g}.hidden", embed, exact_embed)
        for method, steps, guidance in flows:
            out = self.flow(self.model, histories, method, steps, guidance, noise)
            exact = self.flow(self.double, histories, method, steps, guidance, noise)
            self.record(f"{name}.{method}{steps}.guidance{guidance:g}", out, exact)

    def check_draw(self, prompt, method, steps, guidance):
        """The library's own sampler gives the same latents."""
        golden = self.tensors[f"draw.{method}{steps}.guidance{guidance:g}"]
        noise = self.tensors["draw.noise"].reshape(-1, self.dim_latent)
        common = dict(max_length=1, init_modality_noise=noise, modality_steps=steps + 1, cfg_scale=guidance,
                      return_unprocessed_modalities=True)
        if self.is_plain():
            sample = self.model.sample_many([self.ids(prompt)], force_modality_at_start=(0, self.shape), **common)[0]
        elif guidance == 1:
            given = torch.cat((self.ids(prompt), self.meta()))
            sample = self.model.sample_one(given, **common)
        else:
            return
        latents = next(part for part in sample if not torch.is_tensor(part)).tensor
        latents = latents.permute(1, 2, 0) if self.config.get("channel_first_latent") else latents
        assert torch.allclose(latents, golden, rtol=1e-4, atol=1e-4 * golden.abs().max().item())
        sampler = "sample_many" if self.is_plain() else "sample_one"
        self.checked.append(f"{sampler}: latents, {method} {steps}, guidance {guidance:g}")

    def picture(self, prefix, latents):
        """VAE decode as the repository's Decoder, and bytes as torchvision's save_image."""
        decoded = self.model.modality_decoder[0](self.channels(latents)[None])[0]
        exact = self.double.modality_decoder[0](self.channels(latents).double()[None])[0]
        self.record(f"{prefix}.decoded", decoded, exact)
        self.record(f"{prefix}.pixels", decoded.mul(255).add(0.5).clamp(0, 255).permute(1, 2, 0).to(torch.uint8))

    def see(self, picture):
        """Latents [h, w, d] of a picture, by the model's encoder."""
        latents = self.model.modality_encoder[0](picture[None].float() / 255)[0]
        exact = self.double.modality_encoder[0](picture[None].double() / 255)[0]
        if self.config.get("channel_first_latent"):
            latents, exact = latents.permute(1, 2, 0), exact.permute(1, 2, 0)
        return latents, exact

    def is_interleaved(self, ids):
        return 3 <= len(ids) <= NEW_TOKENS - 2 and ids[-1] == self.model.som_ids[0]

    def interleave(self, prompt):
        """Greedy text until [som], a picture, and text again: each leg starts anew on what is there so far."""
        sequence = self.sequence(prompt)
        before, margin = self.greedy(sequence, NEW_TOKENS)
        assert before[-1] == self.model.som_ids[0]
        history = [*sequence, torch.tensor(before)]
        histories = history, self.null(history)
        noise = self.tensors["draw.noise"]
        latents = self.flow(self.model, histories, "midpoint", 4, 3.0, noise)
        exact = self.flow(self.double, histories, "midpoint", 4, 3.0, noise)
        self.record("interleave.latents", latents, exact)
        behind = [*history, (0, self.channels(latents)), torch.tensor([self.model.eom_ids[0]])]
        after, after_margin = self.greedy(behind, NEW_TOKENS)
        assert min(margin, after_margin) > MARGIN, f"interleave: margins {margin:.2g} {after_margin:.2g}"
        embed, _ = self.forward(self.model, behind)
        exact_embed, _ = self.forward(self.double, behind)
        self.record("interleave.logits", self.model.to_text_logits(embed[-1]), self.double.to_text_logits(exact_embed[-1]))
        if self.is_plain():
            noise = noise.reshape(-1, self.dim_latent)
            given = [torch.cat((self.ids(prompt), torch.tensor(before)))]
            sample = self.model.sample_many([given], text_temperature=0.0, init_modality_noise=noise, modality_steps=5,
                                            cfg_scale=3.0, max_length=1, return_unprocessed_modalities=True)[0]
            out = next(part for part in sample if not torch.is_tensor(part)).tensor
            assert torch.allclose(out, latents, rtol=1e-4, atol=1e-4 * latents.abs().max().item())
            self.checked.append("sample_many from the prompt with its [som]: latents of interleave")
        return dict(prompt=prompt, before=before, after=after, text=[self.decode(before), self.decode(after)])

    def run(self):
        generator = torch.Generator().manual_seed(NOISE_SEED)
        height, width = self.shape
        flat = torch.randn((height * width, self.dim_latent), generator=generator)
        self.record("draw.noise", flat.reshape(height, width, self.dim_latent))
        probe = torch.randn((height, width, self.dim_latent), generator=torch.Generator().manual_seed(7))
        self.record("draw.latents", probe)
        picture = photo(*self.pixels, 1)
        seen, exact = self.see(picture)
        self.record("see.pixels", picture.permute(1, 2, 0))
        self.record("see.latents", seen, exact)
        image = (0, self.channels(seen))

        forced = [torch.cat((self.sequence(PROMPT)[0], self.ids(PROMPT), self.meta()))]
        negative = [torch.cat((self.sequence("")[0], self.ids(NEGATIVE_PROMPT), self.meta()))]
        edit = [*self.sequence(image), torch.cat((self.ids(PROMPT), self.meta()))]
        self.draw("draw", forced, FLOWS)
        for flow in FLOWS:
            if flow[0] == "midpoint":
                self.check_draw(PROMPT, *flow)
        self.draw("negative", forced, [("midpoint", 4, 3.0)], [0.5], negative)
        self.draw("edit", edit, [("midpoint", 4, 3.0)], [0.5])
        self.picture("vae", probe)
        self.picture("draw.midpoint4.guidance3", self.tensors["draw.midpoint4.guidance3"])

        cases = dict(text=["*"], picture=[image, "*"], between=["*", image], twoPictures=[image, " and ", image, "*?"])
        write = {}
        for name, parts in cases.items():
            parts = self.case(*parts, wanted=lambda ids: len(ids) >= 6 and len(set(ids)) > 3)
            write[name] = self.write(name, self.sequence(*parts), [p if isinstance(p, str) else None for p in parts])
        speaks = self.case("*", wanted=self.is_interleaved)[0]
        return dict(
            tokens=dict(sos=self.model.sos_id, eos=self.model.eos_id, null=self.model.null_text_id,
                        som=self.model.som_ids[0], eom=self.model.eom_ids[0], meta=self.model.meta_id),
            pixels=self.pixels[::-1],
            noiseSeed=NOISE_SEED,
            draw=dict(prompt=PROMPT, ids=forced[0].tolist(), negativePrompt=NEGATIVE_PROMPT,
                      negativeIds=negative[0].tolist(),
                      editIds=[part.tolist() if torch.is_tensor(part) else None for part in edit]),
            write=write,
            interleave=self.interleave(speaks),
        )


def make(name):
    """Writes <name>/checkpoint, <name>/goldens.safetensors, <name>/goldens.json and <name>/provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    write_checkpoint(spec, folder / "checkpoint")
    golden = Golden(spec, folder)
    with torch.inference_mode():
        content = golden.run()
    save_file(golden.tensors, folder / "goldens.safetensors")
    (folder / "goldens.safetensors").chmod(0o644)
    write_json(folder / "goldens.json", content)
    packages = [line.split("==")[0] for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line]
    write_json(folder / "provenance.json", dict(
        reference=dict(package="transfusion-pytorch", repository="https://github.com/lucidrains/transfusion-pytorch"),
        command=f"python make.py --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in packages},
        device="cpu",
        dtype="float32",
        seeds=dict(weights=spec["seed"], noise=NOISE_SEED, latents=7),
        patches=["pictures are encoded to the mean of their posterior, not to a sample of it"],
        checked=golden.checked,
        tolerance="1e-4 relative to the largest absolute value of a tensor; noiseFloor is what float32 itself costs",
        noiseFloor=golden.noise_floor,
    ))
    for key, value in golden.tensors.items():
        value = value.float()
        print(f"{key:36} {str(tuple(value.shape)):16} std {value.std():8.3f} max {value.abs().max():9.3f} "
              f"floor {golden.noise_floor.get(key, '')}")
    for case in content["write"].values():
        print(case["smallestMargin"], case["answerIds"], repr(case["answer"]))
    print(content["interleave"], *golden.checked, sep="\n")


def write_json(path, content):
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    only = parser.parse_args().only
    torch.set_num_threads(1)
    for name in [only] if only else sorted(CHECKPOINTS):
        make(name)


if __name__ == "__main__":
    sys.exit(main())
