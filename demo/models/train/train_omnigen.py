"""Trains the tiny OmniGen from the tiny JanusFlow: drawing and editing.

usage: python train_omnigen.py <work folder> [seconds] [checkpoint to go on from]      (after train.py and more_bank.py)
"""
import random
import sys

import torch
from diffusers import AutoencoderKL

import detector
import edits
import omnigen_tokens as T
import scenes as S
import trainer
import vae as V
from batches import Drawings
from llama import HIDDEN
from model import JanusFlow
from more_bank import encode
from omnigen_model import OmniGen, draw, noisy, start
from progress import contact_sheet, held_out_prompts
from prompts import TASKS, fulfils
from scoring import by
from sequence import patches
from train import COLOUR_CLASSES, SHAPE_CLASSES, dense_loss
from train_transfusion import mix, noise_times

PROMPTS, NOISES, EDITS = 14, 2, 12  # the first 11 minutes of the run: 16, 2, 8
DROP, PROBE = 0.1, 2


class OmniGenTask(trainer.Task):
    check_every = 1e9
    name, images, rate, warmup = "omnigen", (PROMPTS + EDITS) * NOISES, 1.2e-3, 50

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = OmniGen(), torch.nn.ModuleDict(dict(core=torch.nn.Linear(HIDDEN, SHAPE_CLASSES + COLOUR_CLASSES + 2)))
        saved, flow = torch.load(folder + "/model.pt"), JanusFlow()
        flow.load_state_dict(saved["ema"])
        self.model.warm_up(flow)
        if rank < 0:
            return
        self.bank, self.more = (torch.load(f"{folder}/{n}.pt", weights_only=False) for n in ("bank", "more"))
        self.drawings = Drawings(self.bank, random.Random(200 + rank))
        if rank == 0:
            self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
            self.prompts, self.edits = held_out_prompts(16, 777), edits.edit_set(48, 779)

    def flow(self, s, z, probe=None):
        """Velocity loss of pictures (B, 16, 16) after the sequence `s`, at NOISES levels."""
        times = noise_times(len(z), NOISES)
        mixed = [mix(z, times[:, k]) for k in range(NOISES)]
        slots = [noisy(s, x, times[:, k], 1 + k) for k, (x, _) in enumerate(mixed)]
        y, middle = self.model(s, probe)
        loss = torch.stack([(self.model.velocity(y[:, at], times[:, k]) - mixed[k][1]).pow(2).mean() for k, at in enumerate(slots)]).mean()
        return loss, slots, middle

    def losses(self, done, step):
        rows, index = zip(*(self.drawings.one() for _ in range(PROMPTS)))
        index = torch.tensor(index)
        nothing = T.drawing(T.NOTHING)
        rows = [nothing if random.random() < DROP else [*T.BEFORE, *r[2:-1], *T.BEHIND] for r in rows]
        which = torch.randint(0, len(self.more["edits"]), (EDITS,))
        asked = [T.edit("" if random.random() < DROP else self.more["edits"][i]["prompt"]) for i in which]
        before, after = (patches(self.more[k][which].float()) for k in ("before", "after"))
        with torch.autocast("cpu", torch.bfloat16):
            flow, slots, middle = self.flow(start(rows, None), patches(self.bank["latents"][index].float()), PROBE)
            labels, offsets = self.bank["labels"][index].long(), self.bank["offsets"][index].float()
            core = sum(dense_loss(self.heads["core"], middle[:, at], labels, offsets) for at in slots) / NOISES
            edit = self.flow(start(asked, before), after)[0]
        return dict(flow=flow, edit=0.5 * edit, core=0.15 * (1 - 0.8 * done) * core)

    def check(self, title, guidance=2.5, steps=16):
        noise = torch.randn((len(self.prompts), 4, 8, 8), generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            z = draw(self.model, [p["prompt"] for p in self.prompts], noise, steps, guidance)
            before = encode(self.vae, [e["before"] for e in self.edits]).float()
            edited = draw(self.model, [e["prompt"] for e in self.edits], noise[: len(self.edits)], steps, guidance, before)
        images, changed = (V.to_images(self.vae.decode(x / self.vae.config.scaling_factor).sample) for x in (z, edited))
        good = [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, self.prompts)]
        print(title, "guidance", guidance, by("task", TASKS, self.prompts, good), flush=True)
        right = [edits.fulfils(i, e["after"]) for i, e in zip(changed, self.edits)]
        print(title, "edits", by("kind", edits.KINDS, self.edits, right), flush=True)
        shown = [*images, *(x for e, i in zip(self.edits[:24], changed) for x in (S.render(e["before"]), i))]
        names = [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)]
        names += [x for e, g in zip(self.edits[:24], right) for x in (e["prompt"], "+" if g else "-")]
        contact_sheet(shown, names, 16, f"{self.folder}/omnigen-sheet.png")


if __name__ == "__main__":
    trainer.run(OmniGenTask, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1500, sys.argv[3] if len(sys.argv) > 3 else None)
