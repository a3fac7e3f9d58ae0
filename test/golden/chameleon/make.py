"""Golden data of the chameleon family: two small random checkpoints and what the reference code computes with them.

    git clone https://github.com/facebookresearch/chameleon && git -C chameleon checkout dbbe47f
    pip install -r requirements.txt
    python make.py --reference chameleon       # or CHAMELEON_REFERENCE=chameleon; --only anole|chameleon

The core is transformers' ChameleonForConditionalGeneration, the picture codes come from Meta's VQModel and
ImageTokenizer, and what is picked comes from Meta's TextDecoder, ImageDecoder and Generator over that core; all in
float32 on the CPU. The checkpoints are written first and then loaded from disk. README.md lists the tensors.
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
from safetensors.torch import load_file, save_file
from transformers import ChameleonForConditionalGeneration

from checkpoints import BOI, BOS, CHECKPOINTS, EOI, EOS, EOT, vq_arguments, write_checkpoint, write_json, write_meta_layout
from reference import STUBS, HuggingFaceAdapter, Reference, hidden, logits

HERE = pathlib.Path(__file__).parent
NEW_TOKENS = 16
MARGIN = 1e-3
PHOTOS = ["photo-29x20.png", "photo-9x40.png", "photo-alpha-24x24.png"]
PROMPT = "a red fox at dusk"

# Turns of a conversation: texts, and pictures by number. The last turn is the user's.
CONVERSATIONS = {
    "textOnly": [["user", "What is a fox?"]],
    "onePicture": [["user", 0, "What do you see?"]],
    "interleaved": [["user", "Which is brighter, ", 1, " or ", 2, "? 17 < 23"]],
    "twoTurns": [["user", 0, "What is it?"], ["assistant", "A lake."], ["user", "And what is this, 今天 é?"]],
}
# One of these makes the core begin a picture by chance.
STARTS = [f"{verb} {thing}" for verb in ("Draw", "Show me", "Describe", "Tell me about", "Paint", "I like") for thing in (
    "a fox", "the lake", "two apples", "17 plums", "a table", "natural colors", "the user", "autumn leaves", "a bowl",
    "the second one", "Привет", "a lighthouse", "it", "что", "12", "dusk",
)]


def photo(width, height, seed):
    """A synthetic photograph: gradients with noise, deterministic."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    channels = [255 * x / (width - 1), 255 * y / (height - 1), 127 + 120 * np.sin(x / 5) * np.cos(y / 7)]
    return np.clip(np.stack(channels, -1) + random.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def write_photos():
    """Three PNG files of awkward sizes, one with transparency, shared by both checkpoints."""
    PIL.Image.fromarray(photo(29, 20, 1)).save(HERE / PHOTOS[0], optimize=True)
    PIL.Image.fromarray(photo(9, 40, 2)).save(HERE / PHOTOS[1], optimize=True)
    alpha = (np.mgrid[0:24, 0:24].sum(0) * 255 // 46).astype(np.uint8)
    PIL.Image.fromarray(np.dstack([photo(24, 24, 3), alpha])).save(HERE / PHOTOS[2], optimize=True)
    return [PIL.Image.open(HERE / name) for name in PHOTOS]


class Golden:
    """One checkpoint: loads it through the reference's classes and records their outputs."""

    def __init__(self, reference, name):
        self.reference, self.spec, folder = reference, CHECKPOINTS[name], HERE / name / "checkpoint"
        model, report = ChameleonForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        assert not report["missing_keys"] and not report["mismatched_keys"], report
        assert all("vqmodel.decoder" in key for key in report["unexpected_keys"]), report
        self.model, self.double = model.eval(), copy.deepcopy(model).double().eval()
        stored = {}
        for file in sorted(folder.glob("*.safetensors")):
            stored.update(load_file(file))
        prefix = "model.vqmodel."
        state = {key[len(prefix):]: value.float() for key, value in stored.items() if key.startswith(prefix)}
        self.vq = reference.vqgan.VQModel(**vq_arguments(self.spec)).eval()
        loaded = self.vq.load_state_dict(state, strict=False)
        assert not loaded.unexpected_keys and all(key.startswith("decoder.") for key in loaded.missing_keys), loaded
        self.double_vq = copy.deepcopy(self.vq).double()

        self.size = self.spec["vq"]["resolution"]
        self.side = self.size // 2 ** (len(self.spec["vq"]["channel_multiplier"]) - 1)
        self.codes = self.side**2
        self.meta = reference.decoders(self.codes)
        manager = object.__new__(self.meta.TokenManager)
        manager.tokenizer = self.meta.Tokenizer.from_file(str(folder / "tokenizer.json"))
        config = json.loads((folder / "config.json").read_text())
        self.max_length = config["max_position_embeddings"]
        self.vocab = manager.vocab = self.meta.VocabInfo(config["vocabulary_map"])
        manager.translation = self.meta.VocabTranslation(manager.vocab)
        tokenizer = object.__new__(reference.image_tokenizer.ImageTokenizer)
        tokenizer._vq_model, tokenizer._device, tokenizer._dtype = self.vq, "cpu", torch.float32
        prepare = tokenizer._vqgan_input_from
        tokenizer._vqgan_input_from = lambda image: prepare(image, self.size)
        manager.image_tokenizer = tokenizer
        self.manager = manager
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

    # -- pictures in -----------------------------------------------------------------------------------------------

    def pictures(self, photos):
        """Preprocessing, encoder, codes."""
        tokenizer = self.manager.image_tokenizer
        for index, image in enumerate(photos):
            pixels = tokenizer._vqgan_input_from(tokenizer._whiten_transparency(image))
            latents = self.vq.quant_conv(self.vq.encoder(pixels))
            exact = self.double_vq.quant_conv(self.double_vq.encoder(pixels.double()))
            table = self.vq.quantize.embedding.weight
            distances = torch.cdist(latents[0].flatten(1).T, table).topk(2, largest=False).values
            assert ((distances[:, 1] - distances[:, 0]) / distances[:, 1]).min() > MARGIN, "codes are too close"
            ids = self.manager.tokenize_image(image)
            codes = self.vq.encode(pixels)[2][2]
            assert ids[1:-1] == self.model.get_image_tokens(pixels)[0].tolist(), "transformers' codes differ"
            assert [self.manager.translation.bpe2img[id] for id in ids[1:-1]] == codes.tolist()
            self.record(f"picture.{index}.pixelValues", pixels[0])
            self.record(f"picture.{index}.latents", latents[0], exact[0])
            self.record(f"picture.{index}.codes", codes)

    # -- text out --------------------------------------------------------------------------------------------------

    def ui(self, parts):
        """Parts of a turn as Meta's prompt."""
        photos = self.photos
        return [
            {"type": "text", "value": part} if isinstance(part, str) else {"type": "image", "value": photos[part].copy()}
            for part in parts
        ]

    def prompt(self, turns):
        """Ids of a conversation: every turn ends with Meta's end-of-turn mark."""
        ui = []
        for _, *parts in turns:
            ui += self.ui(parts) + [{"type": "sentinel", "value": "<END-OF-TURN>"}]
        return self.ids(ui)

    def ids(self, ui):
        """tokens_from_ui: its check `isinstance(value, Image)` wants a PIL image."""
        return self.manager.tokens_from_ui(ui)

    def check_margins(self, tokens, name):
        margins = []
        for token in tokens:
            if token.logits is None:
                continue
            top = token.logits[0].topk(2).values
            if torch.isfinite(top).all():
                margins.append(((top[0] - top[1]) / top[0].abs()).item())
        # A picked token whose rivals were all cut by top-p has no margin left to measure.
        assert min(margins, default=1) > MARGIN, f"{name}: margin {min(margins):.2g}, choose another seed"
        return min(margins, default=1.0)

    def greedy_text(self, ids, new_tokens=NEW_TOKENS):
        """Meta's TextDecoder with its defaults, greedy, top-p left out so that margins can be seen."""
        options = self.meta.Options(max_seq_len=self.max_length, max_gen_len=new_tokens)
        options.txt.greedy, options.txt.top_p = True, 1.0
        tokens = list(self.meta.Generator(self.model, self.vocab, options, [list(ids)]))
        return [token.id.item() for token in tokens], tokens

    def conversation(self, name, turns):
        """One case, from the conversation to the answer."""
        ids = self.prompt(turns)
        output, exact = hidden(self.model, ids), hidden(self.double, ids)
        answer, tokens = self.greedy_text(ids)
        margin = self.check_margins(tokens, name)
        prefix = f"text.{name}"
        self.record(f"{prefix}.ids", ids)
        self.record(f"{prefix}.hidden", output[-1], exact[-1])
        self.record(f"{prefix}.logits", self.model.lm_head(output[-1]), self.double.lm_head(exact[-1]))
        self.record(f"{prefix}.answerIds", answer)
        stopped = answer[-1] == self.vocab.eos_id
        return dict(
            turns=turns, ids=ids, answerIds=answer, answer=self.manager.decode_text([list(answer)])[0],
            finishReason="stop" if stopped else "length", maxTokens=NEW_TOKENS, smallestMargin=margin,
        )

    # -- pictures out ----------------------------------------------------------------------------------------------

    def image_options(self):
        """Anole's defaults, greedy, top-p left out."""
        options = self.meta.Options(max_seq_len=self.max_length, max_gen_len=NEW_TOKENS)
        options.extra_eos_tokens = []
        options.txt.greedy, options.txt.top_p = True, 1.0
        options.img = self.meta.Options.Image(temp=1.0, top_p=1.0, greedy=True)
        return options

    def draw(self, name, parts):
        """A whole picture behind a prompt: three contexts, guided logits, codes, pixels."""
        ids = self.ids(self.ui(parts) + [{"type": "sentinel", "value": "<END-OF-TURN>"}])
        options = self.image_options()
        options.txt = False
        rows = {}

        class Recorded(HuggingFaceAdapter):
            def __call__(self, inputs):
                out = super().__call__(inputs)
                rows.setdefault("raw", []).append(out[:, 0].clone())
                return out

        self.meta.ChameleonModelAdapter = Recorded
        decoder = self.meta.ImageDecoder(self.model, self.vocab, options, [list(ids)])
        tokens = [next(decoder).token for _ in range(self.codes)]
        self.meta.ChameleonModelAdapter = HuggingFaceAdapter
        generated = [token.id.item() for token in tokens]
        ended = next(decoder)
        assert ended.token.id.item() == self.vocab.eoi_id and ended.next_decoder is self.meta.TextDecoder
        contexts = decoder._split_inputs_for_cfg([ids + [self.vocab.boi_id]])
        margin = self.check_margins(tokens, name)
        prefix = f"draw.{name}"
        mixed = torch.stack([token.logits[0] for token in tokens])[:, self.vocab.image_tokens]
        exact = self.exact_guidance(contexts, generated)[:, self.vocab.image_tokens]
        self.record(f"{prefix}.guided", mixed, exact)
        for step in (0, 1, self.codes - 1):
            self.record(f"{prefix}.logits.{step}", rows["raw"][step])
        codes = torch.tensor([self.manager.translation.bpe2img[id] for id in generated])
        self.record(f"{prefix}.codes", codes)
        decoded = self.decode(self.vq, codes)
        self.record(f"{prefix}.decoded", decoded[0], self.decode(self.double_vq, codes)[0])
        self.record(f"{prefix}.pixels", np.asarray(self.manager.image_tokenizer._pil_from_chw_tensor(decoded[0])))
        return dict(parts=parts, ids=ids, contexts=contexts, generated=generated, codes=codes.tolist(),
                    smallestMargin=margin)

    def exact_guidance(self, contexts, generated):
        """The guided logits again in float64, along the same codes."""
        raw = []
        for context in contexts:
            out = logits(self.double, context + generated[:-1])
            raw.append(out[len(context) - 1:])
        full, image, null = raw
        return null + 1.2 * (image - null) + 3.0 * (full - image)

    def decode(self, vq, codes):
        entry = vq.quantize.get_codebook_entry(codes, (1, self.side, self.side, self.spec["vq"]["embed_dim"]))
        return vq.decode(entry)

    def interleave(self):
        """Text, a picture that the core begins by itself, and text again: Meta's Generator, greedy."""
        for start in STARTS:
            ids = self.ids(self.ui([start]))
            tokens = list(self.meta.Generator(self.model, self.vocab, self.image_options(), [list(ids)]))
            out = [token.id.item() for token in tokens]
            if self.vocab.boi_id not in out[1:8]:
                continue
            try:
                margin = self.check_margins(tokens, start)
            except AssertionError:
                continue
            segments, current = [], []
            for id in out:
                current.append(id)
                if id in (self.vocab.boi_id, self.vocab.eoi_id):
                    segments.append(current)
                    current = []
            segments.append(current)
            print("interleaved:", start, [len(segment) for segment in segments])
            if len(segments) >= 3 and len(segments[2]) >= 2:
                return dict(prompt=start, ids=ids, segments=segments, newTokens=NEW_TOKENS, smallestMargin=margin)
        raise AssertionError("no prompt begins a picture; choose another seed")


def make(reference, name, photos):
    """Writes <name>/checkpoint, <name>/goldens.safetensors, <name>/goldens.json and <name>/provenance.json."""
    spec, folder = CHECKPOINTS[name], HERE / name
    write_checkpoint(reference, spec, folder / "checkpoint")
    if name == "anole":  # the same weights in Meta's files, so the same goldens
        write_meta_layout(spec, folder / "checkpoint", folder / "meta")
    golden = Golden(reference, name)
    golden.photos = photos
    vocab = golden.vocab
    with torch.inference_mode():
        golden.pictures(photos)
        text = {case: golden.conversation(case, turns) for case, turns in CONVERSATIONS.items()}
        content = dict(photos=PHOTOS, codes=golden.codes, text=text)
        if spec["decoder"]:
            content["draw"] = {
                "prompt": golden.draw("prompt", [PROMPT]),
                "withPictures": golden.draw("withPictures", [0, 1, "Make it brighter."]),
            }
            content["interleaved"] = golden.interleave()
    content["tokens"] = dict(
        bos=vocab.bos_id, eos=vocab.eos_id, pad=vocab.pad_id, boi=vocab.boi_id, eoi=vocab.eoi_id, eot=vocab.eot_id,
        image=vocab.image_tokens, codeOf=[golden.manager.translation.bpe2img[id] for id in vocab.image_tokens],
        text=vocab.text_tokens,
    )
    save_file(golden.tensors, folder / "goldens.safetensors")
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)
    write_json(folder / "goldens.json", content)
    write_json(folder / "provenance.json", dict(
        reference=dict(repository="https://github.com/facebookresearch/chameleon", commit=reference.commit),
        core="transformers' ChameleonForConditionalGeneration, logits taken before it hides those of image ids",
        command=f"python make.py --reference <chameleon> --only {name}",
        python=platform.python_version(),
        libraries={package: importlib.metadata.version(package) for package in (
            "torch", "transformers", "tokenizers", "safetensors", "numpy", "pillow",
        )},
        device="cpu",
        dtype="float32",
        seeds=dict(weights=spec["seed"]),
        stubs=STUBS,
        patches=[
            "1024 and 1026 in Meta's chameleon.py are the picture's number of codes and that plus 2",
            "top-p is 1 so that the second best logit can be seen; greedy picks are the same with 0.9",
            "the 512 px of ImageTokenizer and its 32 x 32 grid come from vq_config",
        ],
        tolerance=dict(
            float32="1e-4 relative to the largest absolute value of a tensor; noiseFloor is what float32 itself costs",
            pixels="off by one where a float32 difference crosses an integer",
            greedy=f"equal: every step's relative top-1/top-2 margin is above {MARGIN}",
        ),
        noiseFloor=golden.noise_floor,
    ))
    for key, value in golden.tensors.items():
        print(f"{key:32} {str(tuple(value.shape)):16} std {value.float().std():8.3f} max {value.float().abs().max():9.3f} "
              f"floor {golden.noise_floor.get(key, '')}")
    for case in text.values():
        print(case["smallestMargin"], case["finishReason"], case["answerIds"], repr(case["answer"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("CHAMELEON_REFERENCE"), help="a clone of the repository")
    parser.add_argument("--only", choices=sorted(CHECKPOINTS))
    arguments = parser.parse_args()
    if not arguments.reference:
        parser.error("--reference or CHAMELEON_REFERENCE must name a clone of facebookresearch/chameleon")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    reference, photos = Reference(arguments.reference), write_photos()
    for name in [arguments.only] if arguments.only else sorted(CHECKPOINTS):
        make(reference, name, photos)


if __name__ == "__main__":
    sys.exit(main())
