"""Golden data of the nexus-gen family: two small random checkpoints and what the authors' code computes with them.

    git clone https://github.com/modelscope/Nexus-Gen nexus       # v2: fb49ff5, v1: 4353a46
    git clone https://github.com/modelscope/DiffSynth-Studio diffsynth && git -C diffsynth checkout f0106cd4
    pip install -r requirements.txt
    python make.py --only v2 --nexus nexus --diffsynth diffsynth  # then v1 with its own commit of nexus

Every number comes from the authors' classes (their Qwen2.5-VL with the vision head, their merger, DiffSynth's FluxDiT and
FlowMatchScheduler, transformers' Qwen2VLImageProcessor, diffusers' AutoencoderKL) in float32 on the CPU. The checkpoints
are written first and then loaded from disk. README.md in this folder lists the tensors.
"""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import sys

import PIL.Image
import torch
from safetensors.torch import load_file, save_file
from transformers import LogitsProcessorList, PreTrainedTokenizerFast
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor, smart_resize

from checkpoints import CHECKPOINTS, bfl_names, make_vae, model_config, write_checkpoint, write_json
from reference import Reference

HERE = pathlib.Path(__file__).parent
PHOTOS = ["photo-53x37.png", "photo-20x64.png"]
NEW_TOKENS = 16
MARGIN = 1e-3
NOISE_SEED = 52
SIGMAS = [1.0, 0.75, 0.1]
STEPS = 5
GUIDANCE = 3.0
# 1000 * 3.5 in bfloat16, as the reference and diffusers compute it.
EMBEDDED_GUIDANCE = 3504.0
PROMPT = "A painting of a lighthouse at dusk, highly detailed."
INSTRUCTION = "Add a pair of sunglasses."
TEMPLATE = "Generate an image according to the following description: {}"
# What DiffSynth's own pipeline teaches the model to have said.
FORCED = {"draw": "Here is an image based on the description: ", "edit": "Here is the image: "}
IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
QUESTION = "What is in this picture?"
CASES = {
    "oneImage": ([{"role": "user", "content": IMAGE + QUESTION}], [0]),
    "twoImages": ([{"role": "user", "content": f"{IMAGE}{IMAGE}Which is brighter?"}], [0, 1]),
    "twoTurns": (
        [
            {"role": "user", "content": IMAGE + QUESTION},
            {"role": "assistant", "content": "A red fox, 一只猫."},
            {"role": "user", "content": "Is it a painting?"},
        ],
        [1],
    ),
    "textOnly": ([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Describe a lake."}], []),
}


class Golden:
    """One checkpoint: loads it through the reference's classes and records their outputs."""

    def __init__(self, reference, spec, folder):
        self.spec, self.nexus, self.config = spec, spec["nexus_gen"], model_config(spec)
        checkpoint = folder / "checkpoint"
        self.grid = self.nexus["generation_grid"]
        self.tokens = self.grid**2
        self.generation_grid = torch.tensor([[1, 2 * self.grid, 2 * self.grid]])
        self.model = reference.model(self.config, self.tokens)
        shards = {}
        for file in sorted(checkpoint.glob("model-*.safetensors")):
            shards.update({name: value.float() for name, value in load_file(file).items()})
        self.model.load_state_dict(shards)
        tokenizer = PreTrainedTokenizerFast(
            tokenizer_file=str(checkpoint / "tokenizer.json"), eos_token="<|im_end|>", pad_token="<|endoftext|>"
        )
        pixels = json.loads((checkpoint / "preprocessor_config.json").read_text())
        self.image_processor = Qwen2VLImageProcessor(**pixels)
        self.processor = reference.Processor.__new__(reference.Processor)
        template = json.loads((checkpoint / "chat_template.json").read_text())["chat_template"]
        self.tokenizer, self.template = tokenizer, template
        self.processor.image_processor, self.processor.tokenizer = self.image_processor, tokenizer
        self.processor.image_token, self.processor.video_token = "<|image_pad|>", "<|video_pad|>"

        is_v2 = spec["version"] == 2
        names = ["generation_decoder", "edit_decoder"] if is_v2 else ["decoder_81_512"]
        states = [torch.load(checkpoint / f"{name}.bin") for name in names]
        self.dits = [self.load_dit(reference, state) for state in states]
        context = self.nexus["decoder"]["context_size"]
        self.adapter = reference.adapter(self.config["hidden_size"], context)
        prefix = "adapter." if is_v2 else ""
        wanted = {name: states[0][prefix + name].float() for name in self.adapter.state_dict()}
        self.adapter.load_state_dict(wanted)
        if is_v2:
            self.merger = reference.merger(reference.Config(**self.config), context).eval()
            state = {k.removeprefix("embedding_merger."): v.float() for k, v in states[1].items() if "merger" in k}
            self.merger.load_state_dict(state)
        self.vae = self.load_vae(checkpoint)
        self.constants = {k: v.float() for k, v in load_file(checkpoint / "constants.safetensors").items()}
        self.scheduler = reference.Scheduler()
        self.tensors = {}

    def load_dit(self, reference, state):
        dit = reference.dit(self.nexus["decoder"])
        dit.load_state_dict({name: state.get(f"pipe.dit.{name}", state.get(name)).float() for name in dit.state_dict()})
        return dit

    def load_vae(self, checkpoint):
        """diffusers' decoder with the numbers of ae.safetensors; its encoder stays random and is never run."""
        vae, stored = make_vae(self.spec), load_file(checkpoint / "vae/ae.safetensors")
        levels, state = len(self.nexus["vae"]["block_out_channels"]), vae.state_dict()
        for name, value in state.items():
            renamed = bfl_names({name: value}, levels)
            if renamed:
                state[name] = stored[next(iter(renamed))].reshape(value.shape)
        vae.load_state_dict(state)
        return vae

    def record(self, name, value):
        value = torch.as_tensor(value)
        if value.dtype != torch.uint8:
            value = value.to(torch.float32 if value.is_floating_point() else torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()

    # -- pictures --------------------------------------------------------------------------------------------------

    def bounded(self, image, max_pixels):
        factor = 2 * self.spec["vision"]["patch_size"]
        height, width = smart_resize(
            image.height, image.width, factor=factor, min_pixels=4 * factor**2, max_pixels=max_pixels
        )
        return image.resize((width, height))

    def fetched(self, image):
        """qwen_vl_utils.fetch_image, then the callers' own bound: what image_understanding.py gives the processor."""
        image = self.bounded(image, 16384 * (2 * self.spec["vision"]["patch_size"]) ** 2)
        if self.spec["version"] == 1:
            size = self.nexus["understanding_size"]
            return image.resize((size, size))
        return self.bounded(image, self.nexus["max_pixels"])

    def see(self, name, images, **options):
        """pixel_values and grids of the processor, and the tower's features."""
        inputs = self.image_processor(images=images, videos=None, return_tensors="pt", **options)
        features = self.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
        if name:
            self.record(f"{name}.patches", inputs["pixel_values"])
            self.record(f"{name}.features", features)
        return inputs["image_grid_thw"], features

    # -- language --------------------------------------------------------------------------------------------------

    def templated(self, messages):
        return self.tokenizer.apply_chat_template(
            messages, chat_template=self.template, tokenize=False, add_generation_prompt=True
        )

    def inputs(self, text, images):
        """The authors' processor; without images it returns text alone."""
        inputs = dict(self.tokenizer([text], return_tensors="pt"))
        if images:
            pixels = self.image_processor(images=images, videos=None, return_tensors="pt")
            for grid in pixels["image_grid_thw"]:
                text = text.replace("<|image_pad|>", "<|placeholder|>" * (grid.prod().item() // 4), 1)
            text = text.replace("<|placeholder|>", "<|image_pad|>")
            inputs = {**self.tokenizer([text], return_tensors="pt"), **pixels}
        return {key: inputs[key] for key in ("input_ids", "attention_mask", "pixel_values", "image_grid_thw") if key in inputs}

    def generate(self, inputs, tokens, first=None):
        """The scripts' call: repetition penalty 1.05 and the likeliest token (top_k 1 leaves nothing to chance)."""
        self.model.rope_deltas = None
        length = inputs["input_ids"].shape[1]

        def force(ids, scores):
            if first is None or ids.shape[1] != length:
                return scores
            return torch.full_like(scores, -1e30).index_fill(1, torch.tensor([first]), 1)

        out = self.model.generate(
            logits_processor=LogitsProcessorList([force]),
            **inputs, max_new_tokens=tokens, do_sample=False, repetition_penalty=1.05, use_cache=True,
            eos_token_id=[self.config["eos_token_id"], self.config["bos_token_id"]],
            pad_token_id=self.config["pad_token_id"], return_dict_in_generate=True, output_scores=True,
            generation_image_grid_thw=self.generation_grid,
        )
        ids = out.sequences[0, inputs["input_ids"].shape[1] :].tolist()
        return ids, out

    def understand(self, name, messages, photos):
        text = self.templated(messages)
        inputs = self.inputs(text, [self.fetched(photo) for photo in photos])
        grid = inputs.get("image_grid_thw")
        positions, _ = self.model.get_rope_index(inputs["input_ids"], grid, None, None, inputs["attention_mask"])
        embeds = self.embeds(inputs)
        out = self.model(inputs_embeds=embeds, position_ids=positions, output_hidden_states=True)
        self.record(f"understand.{name}.positions", positions[:, 0])
        self.record(f"understand.{name}.hidden", out.hidden_states[-1][0])
        self.record(f"understand.{name}.logits", out.logits[0, -1])
        ids, generated = self.generate(inputs, NEW_TOKENS)
        margins = []
        for scores in generated.scores:
            top = scores[0].topk(2).values
            margins.append(((top[0] - top[1]) / top[0].abs()).item())
        assert min(margins) > MARGIN, f"{name}: margin {min(margins):.2g}, choose another seed"
        return dict(
            messages=messages, text=text, inputIds=inputs["input_ids"][0].tolist(), answerIds=ids,
            answer=self.tokenizer.decode(ids, skip_special_tokens=True), smallestMargin=min(margins),
        )

    def embeds(self, inputs):
        ids = inputs["input_ids"]
        embeds = self.model.model.embed_tokens(ids)
        if "pixel_values" in inputs:
            features = self.model.visual(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"])
            mask = (ids == self.config["image_token_id"]).unsqueeze(-1).expand_as(embeds)
            embeds = embeds.masked_scatter(mask, features)
        return embeds

    def imagine(self, name, text, images):
        """Embeddings of a picture: one causal pass, as in DiffSynth, checked against the authors' sampling loop."""
        inputs = self.inputs(text, images)
        ids = inputs["input_ids"]
        assert ids[0, -1] == self.config["vision_start_token_id"]
        pads = torch.full((1, self.tokens), self.config["image_token_id"])
        grids = [inputs["image_grid_thw"]] if images else []
        positions, _ = self.model.get_rope_index(torch.cat([ids, pads], 1), torch.cat([*grids, self.generation_grid]))
        if self.spec["version"] == 2:
            constant = self.model.image_prefill_embeds(torch.arange(self.tokens))[None]
        else:
            constant = self.model.model.embed_tokens(pads)
        embeds = torch.cat([self.embeds(inputs), constant], 1)
        out = self.model(inputs_embeds=embeds, position_ids=positions)
        embeddings = out.image_embeddings[:, ids.shape[1] - 1 : -1]
        # The loop itself: the picture begins as the answer's next token; then vision_end and a few words.
        shorter = {key: value[:, :-1] if key in ("input_ids", "attention_mask") else value for key, value in inputs.items()}
        start = self.config["vision_start_token_id"]
        sequence, generated = self.generate(shorter, self.tokens + 2 + NEW_TOKENS, first=start)
        assert sequence.pop(0) == start
        assert sequence[: self.tokens] == [self.config["image_token_id"]] * self.tokens
        assert sequence[self.tokens] == self.config["vision_end_token_id"]
        error = (generated.output_image_embeddings - embeddings).abs().max() / embeddings.abs().max()
        assert error < 1e-5, error
        self.record(f"{name}.positions", positions[:, 0])
        self.record(f"{name}.embeddings", embeddings[0])
        return embeddings, ids[0].tolist(), sequence[self.tokens + 1 :]

    # -- drawing ---------------------------------------------------------------------------------------------------

    def velocity(self, dit, latents, sigma, context, text_ids):
        guidance = torch.tensor([EMBEDDED_GUIDANCE]) / 1000
        assert guidance * 1000 == EMBEDDED_GUIDANCE
        return dit(
            latents, torch.as_tensor([sigma * 1000]), context, self.constants["pooled"][None], guidance, text_ids,
        )

    def row(self, name, dit, context, text_ids, probe):
        for sigma in SIGMAS:
            self.record(f"{name}.sigma.{sigma:g}", self.velocity(dit, probe, sigma, context, text_ids)[0])

    def flow(self, name, dit, rows, noise, guidance):
        """The loop of modeling/decoder/pipelines.py over rows [(context, ids)], the conditional one first."""
        self.scheduler.set_timesteps(STEPS, 1.0)
        latents = noise
        for timestep in self.scheduler.timesteps:
            velocities = [self.velocity(dit, latents, timestep / 1000, *row) for row in rows]
            velocity = velocities[0] if len(rows) == 1 else velocities[1] + guidance * (velocities[0] - velocities[1])
            latents = self.scheduler.step(velocity, timestep, latents)
        self.record(f"{name}.latents", latents[0])
        return latents

    def decode(self, name, latents):
        image = self.vae.decode(latents / 0.3611 + 0.1159).sample
        pixels = ((image[0].permute(1, 2, 0).detach().numpy() / 2 + 0.5).clip(0, 1) * 255).astype("uint8")
        self.record(f"{name}.decoded", image[0])
        self.record(f"{name}.pixels", pixels)

    def latent_shape(self):
        factor = 2 ** (len(self.nexus["vae"]["block_out_channels"]) - 1)
        width, height = self.spec["pixels"]
        return 1, self.nexus["decoder"]["latent_channels"], height // factor, width // factor

    def draw(self, noise, probe):
        text = self.templated([{"role": "user", "content": TEMPLATE.format(PROMPT)}]) + FORCED["draw"] + "<|vision_start|>"
        embeddings, ids, after = self.imagine("draw", text, [])
        context = self.adapter(embeddings)
        self.record("draw.context", context[0])
        self.record("draw.tokens", self.dits[0].context_embedder(context)[0])
        negative = self.constants["negative"][None]
        rows = [(context, torch.zeros(1, context.shape[1], 3)), (negative, torch.zeros(1, negative.shape[1], 3))]
        for name, row in zip(("cond", "uncond"), rows):
            self.row(f"draw.{name}", self.dits[0], *row, probe)
        self.flow("draw.guidance1", self.dits[0], rows[:1], noise, 1)
        self.decode("draw.guidance3", self.flow("draw.guidance3", self.dits[0], rows, noise, GUIDANCE))
        return dict(prompt=PROMPT, ids=ids, afterIds=after)

    def edit(self, photo, noise, probe):
        text = self.templated([{"role": "user", "content": f"{IMAGE} {INSTRUCTION}"}]) + FORCED["edit"] + "<|vision_start|>"
        bounded = self.bounded(photo, self.nexus["max_pixels"])
        self.see("edit.bounded", [bounded])
        embeddings, ids, after = self.imagine("edit", text, [bounded])
        report = dict(instruction=INSTRUCTION, ids=ids, afterIds=after)
        if self.spec["version"] == 1:
            context = self.adapter(embeddings)
            text_ids, dit = torch.zeros(1, context.shape[1], 3), self.dits[0]
        else:
            side = self.nexus["source_grid"] * 2 * self.spec["vision"]["patch_size"]
            grid, source = self.see("edit.source", [photo.resize((side, side), PIL.Image.BILINEAR)], do_resize=False)
            context = self.merger(embeddings, self.generation_grid, source[None], grid)
            text_ids, dit = self.context_ids(grid, noise), self.dits[1]
            self.record("edit.contextIds", text_ids[0])
        self.record("edit.context", context[0])
        self.record("edit.tokens", dit.context_embedder(context)[0])
        self.row("edit.cond", dit, context, text_ids, probe)
        self.decode("edit.guidance1", self.flow("edit.guidance1", dit, [(context, text_ids)], noise, 1))
        return report

    def context_ids(self, source_grid, latents):
        """The pipeline's own lines for `embed_ids` and `ref_embed_ids`, rounded to bfloat16 as there."""
        parts = []
        for axis, grid in enumerate((self.generation_grid[0], source_grid[0])):
            rows, columns = grid[1].item(), grid[2].item()
            ids = torch.zeros(rows // 2, columns // 2, 3)
            ids[..., 0] += axis
            ids[..., 1] += torch.arange(rows // 2)[:, None] * (latents.shape[-2] / rows)
            ids[..., 2] += torch.arange(columns // 2)[None, :] * (latents.shape[-1] / columns)
            parts.append(ids.reshape(1, -1, 3))
        return torch.cat(parts, 1).to(torch.bfloat16).float()


@torch.inference_mode()
def make(reference, name):
    """Writes <name>/checkpoint, goldens.safetensors, goldens.json and provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    write_checkpoint(reference, spec, folder / "checkpoint")
    golden = Golden(reference, spec, folder)
    photos = [PIL.Image.open(HERE.parent / "janus-flow" / photo).convert("RGB") for photo in PHOTOS]
    for index, photo in enumerate(photos):
        golden.see(f"image.{index}", [golden.fetched(photo)])
    understand = {
        case: dict(golden.understand(case, messages, [photos[i] for i in indices]), photos=indices)
        for case, (messages, indices) in CASES.items()
    }
    shape = golden.latent_shape()
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(NOISE_SEED))
    probe = torch.randn(shape, generator=torch.Generator().manual_seed(7))
    golden.record("noise", noise[0])
    golden.record("probe", probe[0])
    draw, edit = golden.draw(noise, probe), golden.edit(photos[0], noise, probe)
    golden.scheduler.set_timesteps(50, 1.0)
    golden.record("sigmas50", golden.scheduler.sigmas)
    save_file(golden.tensors, folder / "goldens.safetensors")
    width, height = spec["pixels"]
    write_json(folder / "goldens.json", dict(
        photos=PHOTOS, understand=understand, draw=draw, edit=edit, width=width, height=height, steps=STEPS,
        guidance=GUIDANCE, noiseSeed=NOISE_SEED, sigmas=SIGMAS,
    ))
    write_json(folder / "provenance.json", dict(
        reference=dict(repository="https://github.com/modelscope/Nexus-Gen", commit=reference.commit()),
        decoder=dict(repository="https://github.com/modelscope/DiffSynth-Studio", commit="f0106cd4"),
        command=f"python make.py --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "diffusers", "einops", "safetensors", "numpy", "pillow",
        )},
        device="cpu", dtype="float32", seeds=dict(weights=spec["seed"], noise=NOISE_SEED, probe=7),
        patches=[
            "FluxDiT is built with the sizes of config.json; its blocks and forward are untouched",
            "image_prefill_embeds has as many rows as the grid has cells",
            "the embedded guidance is 3504, what bfloat16 makes of 1000 * 3.5; the rest is float32",
            "the one-pass embeddings equal those of the authors' sampling loop (asserted)",
        ],
    ))
    for key, value in golden.tensors.items():
        value = value.float()
        print(f"{key:32} {str(tuple(value.shape)):16} std {value.std():8.3f} max {value.abs().max():9.3f}")
    for case in understand.values():
        print(case["smallestMargin"], case["answerIds"], repr(case["answer"]))
    print(draw["afterIds"], edit["afterIds"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=sorted(CHECKPOINTS), required=True)
    parser.add_argument("--nexus", required=True, help="a clone of modelscope/Nexus-Gen at the checkpoint's commit")
    parser.add_argument("--diffsynth", required=True, help="a clone of modelscope/DiffSynth-Studio at f0106cd4")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    make(Reference(arguments.nexus, arguments.diffsynth), arguments.only)


if __name__ == "__main__":
    sys.exit(main())
