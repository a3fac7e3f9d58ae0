"""Golden data of the janus family: two small random checkpoints and what the authors' code computes with them.

    git clone https://github.com/deepseek-ai/Janus janus && git -C janus checkout 1daa72fa409002d40931bd7b36a9280362469ead
    pip install -r ../janus-flow/requirements.txt
    python make.py --reference janus       # or JANUS_REFERENCE=janus; --only a|b

Every number comes from the authors' classes (their MultiModalityCausalLM, VLChatProcessor and VLMImageProcessor) in
float32 on the CPU, the loop from their generation_inference.py. The checkpoints are written first and then loaded from
disk. `a-transformers` is a's checkpoint under the names of transformers' converter. README.md lists the tensors.
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

from layout import (
    CHECKPOINTS, UNREAD, code_side, image_tokens, model_config, write_checkpoint, write_json,
    write_transformers_checkpoint,
)
from reference import STUBS, Reference

HERE = pathlib.Path(__file__).parent
PHOTOS = HERE.parent / "janus-flow"
NEW_TOKENS = 16
MARGIN = 3e-4
PROMPT = "A painting of a lighthouse at dusk, highly detailed."
NEGATIVE_PROMPT = "blurry, red fox"
GUIDANCE = 5.0
QUESTION = "What is in this picture?"
# Contents of turns, the user's first, and the photos that stand for their placeholders.
CONVERSATIONS = {
    "oneImage": ([f"<image_placeholder>\n{QUESTION}"], [0]),
    "twoImages": (["<image_placeholder> is the first.\n<image_placeholder> is the second.\nWhich is brighter?"], [0, 1]),
    "twoTurns": ([f"<image_placeholder>\n{QUESTION}", "A small red fox, 今天 é.", "Is it a painting?"], [1]),
    "textOnly": (["Convert the formula into latex code: a/b = 17."], []),
}


def turns(contents, roles):
    """A conversation of the authors' processor, its last turn empty: the one to be answered."""
    return [dict(role=roles[index % 2], content=content) for index, content in enumerate([*contents, ""])]


class Golden:
    """One checkpoint: loads it through the authors' classes and records their outputs."""

    def __init__(self, reference, spec, folder):
        self.spec = spec
        checkpoint = folder / "checkpoint"
        with reference.sized(model_config(spec)):
            self.model, report = reference.MultiModalityCausalLM.from_pretrained(
                checkpoint, torch_dtype=torch.float32, output_loading_info=True
            )
        missing = [name for name in report["missing_keys"] if not UNREAD.match(name)]
        assert not missing and not report["unexpected_keys"] and not report["mismatched_keys"], report
        self.model.eval()
        self.processor = reference.VLChatProcessor.from_pretrained(checkpoint)
        self.tokenizer = self.processor.tokenizer
        assert self.processor.num_image_tokens == image_tokens(spec)
        self.tensors = {}

    def record(self, name, value):
        """Keeps a tensor as float32, int32 or uint8."""
        value = torch.as_tensor(value)
        if value.dtype != torch.uint8:
            value = value.to(torch.float32 if value.is_floating_point() else torch.int32)
        assert torch.isfinite(value.float()).all(), name
        self.tensors[name] = value.contiguous().clone()

    def images(self, photos):
        """Preprocessing, SigLIP tower and aligner, one photo at a time."""
        for index, image in enumerate(photos):
            pixels = self.processor.image_processor([image], return_tensors="pt").pixel_values
            features = self.model.vision_model(pixels)
            self.record(f"image.{index}.pixelValues", pixels[0])
            self.record(f"image.{index}.siglip", features[0])
            self.record(f"image.{index}.aligned", self.model.aligner(features)[0])

    def understand(self, name, photos, contents, indices):
        """One case of understanding, from the conversation to the decoded answer: inference.py."""
        conversation = turns(contents, self.spec["roles"])
        images = [photos[index] for index in indices]
        if images:
            inputs = self.processor(conversations=conversation, images=images, force_batchify=True)
            embeds = self.model.prepare_inputs_embeds(**inputs)
            ids, text = inputs.input_ids[0], inputs.sft_format[0]
        else:  # their processor wants a picture: the same template and tokenizer without it
            text = self.processor.apply_sft_template_for_multi_turn_prompts(
                conversations=conversation, sft_format=self.processor.sft_format,
                system_prompt=self.processor.system_prompt,
            )
            ids = torch.LongTensor(self.tokenizer.encode(text))
            embeds = self.model.language_model.get_input_embeddings()(ids[None])
        outputs = self.model.language_model.generate(
            inputs_embeds=embeds, attention_mask=torch.ones(embeds.shape[:2], dtype=torch.long),
            pad_token_id=self.tokenizer.eos_token_id, bos_token_id=self.tokenizer.bos_token_id,
            eos_token_id=self.tokenizer.eos_token_id, max_new_tokens=NEW_TOKENS, do_sample=False, use_cache=True,
            output_logits=True, return_dict_in_generate=True,
        )
        margin = min(self.margin(logits[0]) for logits in outputs.logits)
        assert margin > MARGIN, f"{name}: margin {margin:.2g}, choose another seed"
        answer = outputs.sequences[0].tolist()
        self.record(f"understand.{name}.logits", outputs.logits[0][0])
        return dict(
            conversation=conversation, photos=indices, prompt=text, inputIds=ids.tolist(), answerIds=answer,
            answer=self.tokenizer.decode(answer, skip_special_tokens=True), smallestMargin=margin,
        )

    @staticmethod
    def margin(logits):
        """How far the second is behind the first, relative to the largest logit."""
        top = logits.topk(2).values
        return ((top[0] - top[1]) / logits.abs().max()).item()

    def prompt_ids(self, prompt):
        """generation_inference.py's prompt: BOS first, begin-of-image last."""
        text = self.processor.apply_sft_template_for_multi_turn_prompts(
            conversations=turns([prompt], self.spec["roles"]), sft_format=self.processor.sft_format, system_prompt="",
        )
        text += self.processor.image_start_tag
        return text, self.tokenizer.encode(text)

    def loop(self, rows, choose):
        """The body of generation_inference.py's generate for one picture, over the rows' ids.

        `choose` takes the step and the mixed logits and gives the code. Returns codes and, per step, the logits of both rows.
        """
        embed = self.model.language_model.get_input_embeddings()
        inputs = [embed(torch.LongTensor([ids])) for ids in rows]
        caches = [None, None]
        codes, seen = [], []
        for step in range(code_side(self.spec) ** 2):
            logits = []
            for row, inputs_embeds in enumerate(inputs):
                outputs = self.model.language_model.model(
                    inputs_embeds=inputs_embeds, use_cache=True, past_key_values=caches[row]
                )
                caches[row] = outputs.past_key_values
                logits.append(self.model.gen_head(outputs.last_hidden_state[:, -1, :])[0])
            cond, uncond = logits
            seen.append(torch.stack(logits))
            codes.append(choose(step, uncond + GUIDANCE * (cond - uncond)))
            inputs = [self.model.prepare_gen_img_embeds(torch.tensor([codes[-1]])).unsqueeze(1)] * 2
        return codes, torch.stack(seen)

    def batched_loop(self, ids):
        """The authors' own arrangement, both rows in one batch, greedily: to prove that rows apart are the same."""
        tokens = torch.tensor([ids, ids])
        tokens[1, 1:-1] = self.processor.pad_id
        inputs_embeds = self.model.language_model.get_input_embeddings()(tokens)
        past, codes = None, []
        for _ in range(code_side(self.spec) ** 2):
            outputs = self.model.language_model.model(inputs_embeds=inputs_embeds, use_cache=True, past_key_values=past)
            past = outputs.past_key_values
            logits = self.model.gen_head(outputs.last_hidden_state[:, -1, :])
            mixed = logits[1::2] + GUIDANCE * (logits[0::2] - logits[1::2])
            codes.append(mixed.argmax(-1).item())
            inputs_embeds = self.model.prepare_gen_img_embeds(torch.tensor([codes[-1]] * 2)).unsqueeze(1)
        return codes

    def generate(self):
        """Text to image; returns what goes into goldens.json."""
        text, ids = self.prompt_ids(PROMPT)
        _, negative_ids = self.prompt_ids(NEGATIVE_PROMPT)
        pad = self.processor.pad_id
        uncond = [ids[0], *[pad] * (len(ids) - 2), ids[-1]]
        side, size = code_side(self.spec), self.spec["picture"]["image_token_size"]
        fixed = torch.randint(0, size, (side * side,), generator=torch.Generator().manual_seed(9)).tolist()
        _, logits = self.loop([ids, uncond], lambda step, _: fixed[step])
        self.record("generate.fixedCodes", fixed)
        self.record("generate.fixed.logits", logits)
        _, logits = self.loop([ids, negative_ids], lambda step, _: fixed[step])
        self.record("generate.negative.logits", logits[:, 1])
        margins = []

        def greedy(_, mixed):
            margins.append(self.margin(mixed))
            return mixed.argmax().item()

        codes, _ = self.loop([ids, uncond], greedy)
        assert min(margins) > MARGIN, f"margin {min(margins):.2g}, choose another seed"
        assert codes == self.batched_loop(ids)
        self.record("generate.codes", codes)
        for name, some in {"greedy": codes, "fixed": fixed}.items():
            width = self.spec["picture"]["n_embed"]
            decoded = self.model.gen_vision_model.decode_code(torch.tensor([some], dtype=torch.int), [1, width, side, side])
            self.record(f"generate.{name}.decoded", decoded[0])
            clipped = np.clip((decoded.numpy().transpose(0, 2, 3, 1) + 1) / 2 * 255, 0, 255)
            pixels = np.zeros(clipped.shape, dtype=np.uint8)
            pixels[:] = clipped
            self.record(f"generate.{name}.pixels", torch.from_numpy(pixels[0]))
        return dict(
            prompt=PROMPT, text=text, ids=ids, unconditionalIds=uncond, negativePrompt=NEGATIVE_PROMPT,
            negativeIds=negative_ids, guidance=GUIDANCE, codes=codes, smallestMargin=min(margins),
        )


def make(reference, name, photos):
    """Writes <name>/checkpoint, <name>/goldens.safetensors, <name>/goldens.json and <name>/provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    weights = write_checkpoint(reference, spec, folder / "checkpoint")
    if name == "a":
        write_transformers_checkpoint(spec, HERE / "a-transformers" / "checkpoint", weights)
    golden = Golden(reference, spec, folder)
    with torch.inference_mode():
        golden.images(photos)
        understand = {case: golden.understand(case, photos, *value) for case, value in CONVERSATIONS.items()}
        generate = golden.generate()
    save_file(golden.tensors, folder / "goldens.safetensors")
    for path in [*folder.rglob("*.safetensors"), *HERE.rglob("*.bin"), *HERE.glob("a-*/**/*.safetensors")]:
        path.chmod(0o644)
    processor, tokenizer = golden.processor, golden.tokenizer
    write_json(folder / "goldens.json", dict(
        photos=["photo-53x37.png", "photo-20x64.png"],
        systemPrompt=processor.system_prompt,
        tokens=dict(
            bos=tokenizer.bos_token_id, eos=tokenizer.eos_token_id, pad=processor.pad_id, image=processor.image_id,
            imageStart=processor.image_start_id, imageEnd=processor.image_end_id,
        ),
        understand=understand,
        generate=generate,
    ))
    write_json(folder / "provenance.json", dict(
        reference=dict(repository="https://github.com/deepseek-ai/Janus", commit=reference.commit()),
        command=f"python make.py --reference <Janus> --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "timm", "safetensors", "numpy", "pillow",
        )},
        device="cpu",
        dtype="float32",
        attention=golden.model.language_model.config._attn_implementation,
        seeds=dict(weights=spec["seed"], fixedCodes=9),
        stubs=STUBS,
        patches=[
            "the SigLIP table and the VQ-GAN's channels come from config.json",
            "the loop runs its two rows one after the other and picks the likeliest code or a fixed one; in one batch, as "
            "the authors have them, they give the same codes (asserted)",
        ],
        tolerance=dict(
            float32="1e-4 relative to the largest absolute value of a tensor",
            greedy=f"equal: every step's relative top-1/top-2 margin is above {MARGIN}",
            pixels="off by one where a float32 difference crosses an integer",
        ),
    ))
    for key, tensor in golden.tensors.items():
        print(f"{key:32} {str(tuple(tensor.shape)):16} std {tensor.float().std():8.3f} max {tensor.float().abs().max():9.3f}")
    for case in understand.values():
        print(case["smallestMargin"], case["answerIds"], repr(case["answer"]))
    print(generate["smallestMargin"], generate["codes"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("JANUS_REFERENCE"), help="a clone of deepseek-ai/Janus")
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    arguments = parser.parse_args()
    if not arguments.reference:
        parser.error("--reference or JANUS_REFERENCE must name a clone of deepseek-ai/Janus")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    reference = Reference(arguments.reference)
    photos = [PIL.Image.open(PHOTOS / name).convert("RGB") for name in ("photo-53x37.png", "photo-20x64.png")]
    for name in [arguments.only] if arguments.only else sorted(CHECKPOINTS):
        make(reference, name, photos)


if __name__ == "__main__":
    sys.exit(main())
