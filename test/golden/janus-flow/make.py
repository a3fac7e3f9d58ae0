"""Golden data of the janus-flow family: two small random checkpoints and what the authors' code computes with them.

    git clone https://github.com/deepseek-ai/Janus janus && git -C janus checkout 1daa72fa409002d40931bd7b36a9280362469ead
    pip install -r requirements.txt        # timm with --no-deps: torchvision is not needed
    python make.py --reference janus       # or JANUS_REFERENCE=janus; --only a|b

Every number comes from the authors' classes (their MultiModalityCausalLM, VLChatProcessor and VLMImageProcessor,
transformers' LlamaForCausalLM, diffusers' AutoencoderKL) in float32 on the CPU. The checkpoints are written first and
then loaded from disk, as a user's would be. README.md in this folder lists the tensors.
"""

import argparse
import copy
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

from checkpoints import CHECKPOINTS, model_config, write_checkpoint, write_json
from reference import STUBS, Reference

HERE = pathlib.Path(__file__).parent
NEW_TOKENS = 24
MARGIN = 1e-3
# What a lean checkpoint records of the intermediate tensors.
LEAN = {"inputsEmbeds": ["oneImage", "twoImages"], "lastHiddenState": ["oneImage", "textOnly"], "aligned": ["0.5"]}
PROMPT = "A painting of a lighthouse at dusk, highly detailed."
NEGATIVE_PROMPT = "blurry, red fox"
TIMES = {"0": 0.0, "0.1": 0.1, "0.5": 0.5, "0.9": 0.9}
EMBEDDED_TIMES = {"0": 0.0, "1/30": 1 / 30, "0.5": 0.5, "0.9667": 0.9667}
STEPS = [1, 4, 10]
GUIDANCE = [2.0, 5.0]
NOISE_SEED = 42

QUESTION = "What is in this picture?"
CONVERSATIONS = {
    "oneImage": (
        [{"role": "User", "content": f"<image_placeholder>\n{QUESTION}"}, {"role": "Assistant", "content": ""}],
        [0],
    ),
    "twoImages": (
        [
            {
                "role": "User",
                "content": "<image_placeholder> is the first.\n<image_placeholder> is the second.\nWhich is brighter?",
            },
            {"role": "Assistant", "content": ""},
        ],
        [0, 1],
    ),
    "twoTurns": (
        [
            {"role": "User", "content": f"<image_placeholder>\n{QUESTION}"},
            {"role": "Assistant", "content": "A small red fox, 今天 é."},
            {"role": "User", "content": "Is it a painting?"},
            {"role": "Assistant", "content": ""},
        ],
        [1],
    ),
    "textOnly": (
        [{"role": "User", "content": "Convert the formula into latex code: a/b = 17."}, {"role": "Assistant", "content": ""}],
        [],
    ),
}
# One of these ends in EOS by chance and becomes the case "stops".
CANDIDATES = [f"{start} {end}?" for start in ("Which", "What is", "Describe", "Is it", "Convert") for end in (
    "red", "the lake", "a fox", "the second image", "natural", "17", "language", "your task", "vision", "a house",
    "autumn", "the sky", "one", "12345", "latex code", "the user", "a cloud", "today", "Κόσμε", "мир",
)]


def photo(width, height, seed):
    """A synthetic photograph: gradients with noise, deterministic."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [
        255 * x / (width - 1),
        255 * y / (height - 1),
        127 + 120 * np.sin(x / 5) * np.cos(y / 7),
    ]
    return np.clip(np.stack(channels, -1) + random.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def write_photos():
    """Two PNG files of awkward sizes, shared by both checkpoints."""
    for name, array in {"photo-53x37.png": photo(53, 37, 1), "photo-20x64.png": photo(20, 64, 2)}.items():
        PIL.Image.fromarray(array).save(HERE / name, optimize=True)
    return [PIL.Image.open(HERE / name).convert("RGB") for name in ("photo-53x37.png", "photo-20x64.png")]


class Golden:
    """One checkpoint: loads it through the authors' classes and records their outputs."""

    def __init__(self, reference, spec, folder):
        self.reference, self.spec, self.config = reference, spec, model_config(spec)
        checkpoint = folder / "checkpoint"
        with reference.sized(self.config):
            model, report = reference.MultiModalityCausalLM.from_pretrained(
                checkpoint, torch_dtype=torch.float32, output_loading_info=True
            )
        assert not any(report.values()), report
        self.model = model.eval()
        self.processor = reference.VLChatProcessor.from_pretrained(checkpoint)
        self.tokenizer = self.processor.tokenizer
        if spec["shards"] == 1:
            self.vae = reference.AutoencoderKL.from_pretrained(checkpoint / "vae").eval()
        else:  # the encoder is not in the file; diffusers leaves it random and it is never run
            self.vae = reference.AutoencoderKL.from_pretrained(checkpoint / "vae", low_cpu_mem_usage=False).eval()
        self.tokens = self.processor.num_image_tokens
        self.side = round(self.tokens**0.5)
        self.latent_side = 2 * self.side
        self.tensors, self.noise_floor = {}, {}
        self.double = copy.deepcopy(self.model).double()
        self.double_vae = copy.deepcopy(self.vae).double()

    def record(self, name, value, double=None):
        """Keeps a tensor (float32, int32 or uint8) and, where a float64 run is given, how far apart the two are."""
        middle, leaf = name.partition(".")[2].rpartition(".")[0], name.rpartition(".")[2]
        if self.spec["lean"] and name.startswith(("understand.", "generate.t.")):
            if leaf in LEAN and middle.removeprefix("t.") not in LEAN[leaf]:
                return
        value = torch.as_tensor(value)
        if value.dtype == torch.bool:
            value = value.to(torch.uint8)
        if value.dtype not in (torch.uint8,):
            value = value.to(torch.float32 if value.is_floating_point() else torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()
        if double is not None:
            error = (value.double() - double.double()).abs().max() / double.abs().max()
            self.noise_floor[name] = float(f"{error.item():.2g}")

    # -- understanding ---------------------------------------------------------------------------------------------

    def images(self, photos):
        """Preprocessing, SigLIP tower and aligner, one photo at a time."""
        for index, image in enumerate(photos):
            pixels = self.processor.image_processor([image], return_tensors="pt").pixel_values
            features, exact = self.model.vision_und_enc_model(pixels), self.double.vision_und_enc_model(pixels.double())
            self.record(f"image.{index}.pixelValues", pixels[0])
            self.record(f"image.{index}.siglip", features[0], exact[0])
            self.record(
                f"image.{index}.aligned",
                self.model.vision_und_enc_aligner(features)[0],
                self.double.vision_und_enc_aligner(exact)[0],
            )

    def prepare(self, conversation, photos):
        """The authors' processor; its base class wants at least the list of images."""
        return self.processor(conversations=conversation, images=photos, force_batchify=True)

    def greedy(self, embeds, attention_mask):
        """The README's generate call: ids of the answer and the smallest relative top-1/top-2 margin."""
        outputs = self.model.language_model.generate(
            inputs_embeds=embeds,
            attention_mask=attention_mask,
            pad_token_id=self.tokenizer.eos_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            max_new_tokens=NEW_TOKENS,
            do_sample=False,
            use_cache=True,
            output_logits=True,
            return_dict_in_generate=True,
        )
        margins = []
        for logits in outputs.logits:
            top = logits[0].topk(2).values
            margins.append(((top[0] - top[1]) / top[0].abs()).item())
        return outputs.sequences[0].tolist(), min(margins)

    def understand(self, name, conversation, photos, indices):
        """One case of understanding, from the conversation to the decoded answer."""
        inputs = self.prepare(conversation, [photos[i] for i in indices])
        embeds = self.model.prepare_inputs_embeds(**inputs)
        wide = self.prepare(conversation, [photos[i] for i in indices])
        wide.pixel_values = wide.pixel_values.double()
        exact_embeds = self.double.prepare_inputs_embeds(**wide)
        output = self.model.language_model(inputs_embeds=embeds, output_hidden_states=True)
        exact = self.double.language_model(inputs_embeds=exact_embeds, output_hidden_states=True)
        prefix = f"understand.{name}"
        self.record(f"{prefix}.inputIds", inputs.input_ids[0])
        self.record(f"{prefix}.imageMask", inputs.images_seq_mask[0])
        self.record(f"{prefix}.inputsEmbeds", embeds[0], exact_embeds[0])
        self.record(f"{prefix}.lastHiddenState", output.hidden_states[-1][0], exact.hidden_states[-1][0])
        self.record(f"{prefix}.logits", output.logits[0, -1], exact.logits[0, -1])
        ids, margin = self.greedy(embeds, inputs.attention_mask)
        self.record(f"{prefix}.answerIds", ids)
        assert margin > MARGIN, f"{name}: margin {margin:.2g}, choose another seed"
        stopped = ids[-1] == self.tokenizer.eos_token_id
        return dict(
            conversation=conversation,
            photos=indices,
            prompt=inputs.sft_format[0],
            promptIds=self.tokenizer.encode(inputs.sft_format[0]),
            inputIds=inputs.input_ids[0].tolist(),
            answerIds=ids,
            answer=self.tokenizer.decode(ids, skip_special_tokens=True),
            answerWithSpecialTokens=self.tokenizer.decode(ids, skip_special_tokens=False),
            finishReason="stop" if stopped else "length",
            maxTokens=NEW_TOKENS,
            smallestMargin=margin,
        )

    def stopping_conversation(self):
        """A text-only question whose greedy answer ends in EOS after a few tokens."""
        for question in CANDIDATES:
            conversation = [{"role": "User", "content": question}, {"role": "Assistant", "content": ""}]
            inputs = self.prepare(conversation, [])
            ids, margin = self.greedy(self.model.prepare_inputs_embeds(**inputs), inputs.attention_mask)
            if ids[-1] == self.tokenizer.eos_token_id and 3 <= len(ids) <= NEW_TOKENS and margin > MARGIN:
                return conversation
        return None

    # -- generation ------------------------------------------------------------------------------------------------

    def prompt_ids(self, prompt):
        """The README's template for images: ids with BOS first and the generation tag last."""
        text = self.processor.apply_sft_template_for_multi_turn_prompts(
            conversations=[{"role": "User", "content": prompt}, {"role": "Assistant", "content": ""}],
            sft_format=self.processor.sft_format,
            system_prompt="",
        )
        text += self.processor.image_gen_tag
        return text, self.tokenizer.encode(text)

    def velocity(self, model, prompt_embeds, attention_mask, z, time):
        """One evaluation of the velocity, as in the README's loop, over the rows of `prompt_embeds`, without a cache."""
        rows = prompt_embeds.shape[0]
        tau = torch.tensor([time * 1000.0] * rows).to(z)
        x_emb, t_emb, skips = model.vision_gen_enc_model(torch.cat([z] * rows), tau)
        z_emb = x_emb.view(rows, x_emb.shape[1], -1).permute(0, 2, 1)
        z_emb = model.vision_gen_enc_aligner(z_emb)
        llm_emb = torch.cat([prompt_embeds, t_emb.unsqueeze(1), z_emb], dim=1)
        hidden = model.language_model.model(
            inputs_embeds=llm_emb, use_cache=False, attention_mask=attention_mask
        ).last_hidden_state[:, -self.tokens :, :]
        grid = model.vision_gen_dec_aligner(model.vision_gen_dec_aligner_norm(hidden))
        grid = grid.reshape(rows, self.side, self.side, -1).permute(0, 3, 1, 2)
        v = model.vision_gen_dec_model(grid, skips, t_emb)
        return dict(x_emb=x_emb, t_emb=t_emb, aligned=z_emb, hidden=hidden, v=v)

    def rows(self, model, ids):
        """The two rows of the README: the prompt, and BOS followed by masked padding."""
        tokens = torch.stack([torch.LongTensor(ids)] * 2)
        tokens[1:, 1:] = self.processor.pad_id
        embeds = model.language_model.get_input_embeddings()(tokens)[:, :-1, :]
        mask = torch.ones((2, embeds.shape[1] + self.tokens + 1), dtype=torch.int)
        mask[1:, 1 : embeds.shape[1]] = 0
        return embeds, mask

    def euler(self, model, velocities, z, steps, guidance):
        """The README's ODE loop with exact dt; `velocities` gives v_cond and v_uncond at (z, time)."""
        trajectory = [z]
        dt = torch.zeros_like(z) + 1.0 / steps
        for step in range(steps):
            v_cond, v_uncond = velocities(model, z, step / steps)
            z = z + dt * (guidance * v_cond - (guidance - 1.0) * v_uncond)
            trajectory.append(z)
        return torch.cat(trajectory)

    def generate(self):
        """Everything of text to image; returns what goes into goldens.json."""
        text, ids = self.prompt_ids(PROMPT)
        negative_text, negative_ids = self.prompt_ids(NEGATIVE_PROMPT)
        shape = (1, 4, self.latent_side, self.latent_side)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(NOISE_SEED))
        probe = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        models = self.model, self.double
        embeds = {model: self.rows(model, ids) for model in models}
        row = {model: model.language_model.get_input_embeddings()(torch.LongTensor([ids[:-1]])) for model in models}
        negative_row = {
            model: model.language_model.get_input_embeddings()(torch.LongTensor([negative_ids[:-1]]))
            for model in models
        }

        def guided(model, z, time):
            return self.velocity(model, *embeds[model], z, time)["v"].chunk(2)

        def negative(model, z, time):
            cond = self.velocity(model, row[model], None, z, time)["v"]
            return cond, self.velocity(model, negative_row[model], None, z, time)["v"]

        self.record("generate.promptIds", ids)
        self.record("generate.negativePromptIds", negative_ids)
        self.record("generate.noise", noise[0])
        self.record("generate.latents", probe[0])
        for label, time in EMBEDDED_TIMES.items():
            exact = self.velocity(self.double, *embeds[self.double], probe.double(), time)
            out = self.velocity(self.model, *embeds[self.model], probe, time)
            self.record(f"generate.tEmb.{label}", out["t_emb"][0], exact["t_emb"][0])
        for label, time in TIMES.items():
            exact = self.velocity(self.double, *embeds[self.double], probe.double(), time)
            out = self.velocity(self.model, *embeds[self.model], probe, time)
            prefix = f"generate.t.{label}"
            self.record(f"{prefix}.xEmb", out["x_emb"][0], exact["x_emb"][0])
            self.record(f"{prefix}.aligned", out["aligned"][0], exact["aligned"][0])
            for index, name in enumerate(("Cond", "Uncond")):
                self.record(f"{prefix}.hidden{name}", out["hidden"][index], exact["hidden"][index])
                self.record(f"{prefix}.v{name}", out["v"][index], exact["v"][index])
        for steps in STEPS:
            for guidance in GUIDANCE:
                out = self.euler(self.model, guided, noise, steps, guidance)
                exact = self.euler(self.double, guided, noise.double(), steps, guidance)
                name = f"generate.steps{steps}.guidance{guidance:g}"
                self.record(f"{name}.latents", out[-1], exact[-1])
                if steps == max(STEPS) and guidance == GUIDANCE[0]:
                    self.record(f"{name}.trajectory", out, exact)
                    final = out[-1:], exact[-1:]
        out = self.euler(self.model, negative, noise, 4, 5.0)
        exact = self.euler(self.double, negative, noise.double(), 4, 5.0)
        self.record("generate.negative.steps4.guidance5.latents", out[-1], exact[-1])
        self.record("generate.negative.t.0.5.vUncond", negative(self.model, probe, 0.5)[1][0],
                    negative(self.double, probe.double(), 0.5)[1][0])

        self.decode("generate.steps10.guidance2", *final)
        self.decode("vae", probe, probe.double())
        self.check_against_demo(ids)
        length = len(ids) - 1
        return dict(
            prompt=PROMPT,
            text=text,
            ids=ids,
            keptIds=ids[:-1],
            negativePrompt=NEGATIVE_PROMPT,
            negativeText=negative_text,
            negativeIds=negative_ids,
            noiseSeed=NOISE_SEED,
            latentShape=list(shape[1:]),
            scalingFactor=self.vae.config.scaling_factor,
            uncond=dict(
                length=length, visiblePromptSlots=[0], maskedPromptSlots=list(range(1, length)),
                timeSlot=length, imageSlots=[length + 1, length + self.tokens], padId=self.processor.pad_id,
            ),
            negative=dict(
                length=len(negative_ids) - 1, timeSlot=len(negative_ids) - 1,
                note="a row of its own: every token visible, positions from 0, t token right behind its own prompt",
            ),
        )

    def decode(self, prefix, latents, exact):
        """VAE decode; the demo truncates to uint8, the README's torchvision save_image adds 0.5 first."""
        decoded = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        exact = self.double_vae.decode(exact / self.vae.config.scaling_factor).sample
        self.record(f"{prefix}.decoded", decoded[0], exact[0])
        images = decoded.float().clip(-1.0, 1.0).permute(0, 2, 3, 1).cpu().numpy()
        if prefix == "vae" and self.spec["lean"]:
            return
        self.record(f"{prefix}.pixelsTruncated", ((images + 1) / 2.0 * 255).astype(np.uint8)[0])
        rounded = (decoded.clip(-1.0, 1.0) * 0.5 + 0.5).mul(255).add_(0.5).clamp_(0, 255)
        self.record(f"{prefix}.pixelsRounded", rounded[0].permute(1, 2, 0).to("cpu", torch.uint8))

    def check_against_demo(self, ids):
        """The demo's own `generate`, run on the same noise, gives the same latents and pixels as the loop above."""
        seen = []
        decode = self.vae.decode
        self.vae.decode = lambda latents: (seen.append(latents), decode(latents))[1]
        demo = self.reference.demo_generate(
            self.model, self.processor, self.vae, self.tokens, self.side, self.latent_side, self.spec["gen_width"]
        )
        for steps in STEPS:
            for guidance in GUIDANCE:
                torch.manual_seed(NOISE_SEED)
                pixels = demo(torch.LongTensor(ids), cfg_weight=guidance, num_inference_steps=steps)
                latents = seen[-1][0] * self.vae.config.scaling_factor
                mine = self.tensors[f"generate.steps{steps}.guidance{guidance:g}.latents"]
                assert torch.allclose(latents, mine, rtol=1e-5, atol=1e-5 * mine.abs().max()), (steps, guidance)
                if (steps, guidance) == (10, 2.0):
                    difference = np.abs(
                        pixels[0].astype(int) - self.tensors["generate.steps10.guidance2.pixelsTruncated"].numpy()
                    )
                    assert difference.max() <= 1
        self.vae.decode = decode


def make(reference, name, photos):
    """Writes <name>/checkpoint, <name>/goldens.safetensors, <name>/goldens.json and <name>/provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    write_checkpoint(reference, spec, folder / "checkpoint")
    golden = Golden(reference, spec, folder)
    with torch.inference_mode():
        golden.images(photos)
        understand = {
            case: golden.understand(case, conversation, photos, indices)
            for case, (conversation, indices) in CONVERSATIONS.items()
        }
        stops = golden.stopping_conversation()
        if stops:
            understand["stops"] = golden.understand("stops", stops, photos, [])
        generate = golden.generate()
    save_file(golden.tensors, folder / "goldens.safetensors")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    processor, tokenizer = golden.processor, golden.tokenizer
    write_json(folder / "goldens.json", dict(
        photos=["photo-53x37.png", "photo-20x64.png"],
        imageTokens=golden.tokens,
        systemPrompt=processor.system_prompt,
        tokens=dict(
            bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=processor.pad_id, image=processor.image_id,
            imageStart=processor.image_start_id, imageEnd=processor.image_end_id, generate=processor.image_gen_id,
            lengthInFile=len(json.loads((folder / "checkpoint/tokenizer.json").read_text())["model"]["vocab"])
            + len(json.loads((folder / "checkpoint/tokenizer.json").read_text())["added_tokens"]),
            lengthAfterProcessor=len(tokenizer),
        ),
        understand=understand,
        generate=generate,
    ))
    write_json(folder / "provenance.json", dict(
        reference=dict(repository="https://github.com/deepseek-ai/Janus", commit=reference.commit()),
        command=f"python make.py --reference <Janus> --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "diffusers", "timm", "safetensors", "numpy", "pillow",
        )},
        device="cpu",
        dtype="float32",
        attention=golden.model.language_model.config._attn_implementation,
        seeds=dict(weights=spec["seed"], noise=NOISE_SEED, latents=7),
        stubs=STUBS,
        patches=[
            "sizes 1024, 2048 and 768 of the aligners and beg_of_und_embed come from config.json",
            "the SigLIP table gets the explicit width, layers, heads, patch_size and mlp_ratio of config.json",
            "the loop keeps no KV cache (the authors' cache is an empty tuple, so theirs does not either), "
            "tau and dt are float32 instead of bfloat16",
            "the demo's own generate() with its constants replaced gives the same latents and pixels (asserted)",
        ],
        tolerance=dict(
            float32="1e-4 relative to the largest absolute value of a tensor; noiseFloor is what float32 itself costs",
            pixels="off by one where a float32 difference crosses an integer",
            greedy=f"equal: every step's relative top-1/top-2 margin is above {MARGIN}",
        ),
        noiseFloor=golden.noise_floor,
    ))
    report = {key: (tuple(value.shape), str(value.dtype)[6:]) for key, value in golden.tensors.items()}
    for key, value in report.items():
        tensor = golden.tensors[key].float()
        print(f"{key:52} {str(value[0]):16} {value[1]:8} std {tensor.std():8.3f} max {tensor.abs().max():9.3f} "
              f"floor {golden.noise_floor.get(key, '')}")
    for case in understand.values():
        print(case["smallestMargin"], case["finishReason"], case["answerIds"], repr(case["answer"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("JANUS_REFERENCE"), help="a clone of deepseek-ai/Janus")
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    arguments = parser.parse_args()
    if not arguments.reference:
        parser.error("--reference or JANUS_REFERENCE must name a clone of deepseek-ai/Janus")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    reference, photos = Reference(arguments.reference), write_photos()
    for name in [arguments.only] if arguments.only else sorted(CHECKPOINTS):
        make(reference, name, photos)


if __name__ == "__main__":
    sys.exit(main())
