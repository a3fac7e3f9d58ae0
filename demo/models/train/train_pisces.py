"""Trains the tiny Pisces from the tiny Janus: the core on captions and questions, or the painter on true vectors. One process each.

usage: python train_pisces.py <work folder> core|unet [seconds] [checkpoint to go on from]      (after train_janus.py and settled_bank.py)
"""
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import detector
import pisces_tokens as T
import pisces_unet as U
import scenes as S
import settled
import trainer
import vae as V
from batches import Questions, disturb
from groupnorm import fast_group_norm
from janus_model import Janus
from pisces_model import Pisces, answers, imagine, pack
from progress import contact_sheet, held_out_questions
from questions import KINDS
from scoring import by
from sequence import LATENT
from settled_batches import Captions, disturbed, picture_of, vectors_of
from tokens import START

CAPTIONS, PICTURES, EACH, DROP, NOISE = 20, 16, 3, 0.04, 0.8  # in the last minutes; at first 28 captions, 4 pictures, then 8
PAINTED, FAULTS = 64, 0.5


class CoreTask(trainer.Task):
    name, images, processes, rate, check_every = "pisces", CAPTIONS, 1, 7e-4, 270

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = Pisces(), torch.nn.Module()
        janus = Janus()
        janus.load_state_dict(torch.load(folder + "/janus.pt")["ema"])
        pixels, asked, _, _, _ = Questions(random.Random(5)).batch(32, 4)
        self.model.warm_up(janus, lambda: janus.logits(janus.see(pixels), START, asked))
        if rank < 0:
            return
        self.captions, self.questions = Captions(folder, random.Random(200 + rank)), T.Asked(random.Random(300 + rank))
        self.mean = vectors_of(self.captions.latents.float()).mean(0)
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
        self.prompts = settled.held_out_captions((8,) * 6 + (24,), random.Random(777))
        self.asked = held_out_questions(60, 778)
        self.pixels = V.to_tensor(np.stack([S.render(q["scene"]) for q in self.asked]))

    def losses(self, done, step):
        prompts, z = self.captions.batch(CAPTIONS)
        goal = vectors_of(z)
        dropped = torch.rand(CAPTIONS) < DROP
        goal = torch.where(dropped[:, None, None], self.mean, goal)
        rows = [T.drawing("") if d else [*T.USER, *disturb(T.words(p), self.captions.rng, 0), *T.ANSWER] for p, d in zip(prompts, dropped)]
        pixels, asked, target, _, _ = self.questions.batch(PICTURES, EACH)
        with torch.autocast("cpu", torch.bfloat16):
            made = self.model.vectors(*pack(rows), disturbed(goal[:, :-1], NOISE))
            said = self.model.logits(self.model.see(pixels), asked)
            answer = F.cross_entropy(said.flatten(0, 1), target.flatten(), ignore_index=-100)
        error = (made - goal).pow(2)
        return dict(vectors=error[..., :LATENT].mean(), places=0.2 * error[..., LATENT:].mean(), answer=0.5 * answer)

    def check(self, title):
        with torch.autocast("cpu", torch.bfloat16):
            vectors = imagine(self.model, [p["prompt"] for p in self.prompts])
        images = V.to_images(self.vae.decode(picture_of(vectors) / self.vae.config.scaling_factor).sample)
        good = [settled.fulfils(i, p) for i, p in zip(images, self.prompts)]
        print(title, "vectors decoded", by("task", settled.TASKS, self.prompts, good), flush=True)
        contact_sheet(images, [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)], 12, f"{self.folder}/pisces-sheet.png")
        with torch.autocast("cpu", torch.bfloat16):
            said = answers(self.model, self.pixels, [q["question"] for q in self.asked])
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)


class UnetTask(trainer.Task):
    name, images, processes, rate, check_every = "pisces-unet", PAINTED, 1, 2e-3, 1e9

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = U.build(), torch.nn.Module()
        if rank < 0:
            return
        self.captions = Captions(folder, random.Random(400 + rank))
        self.mean = vectors_of(self.captions.latents.float()).mean(0)
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()

    def losses(self, done, step):
        z = self.captions.latents[torch.randint(0, len(self.captions.latents), (PAINTED,))].float()
        vectors = disturbed(vectors_of(z), FAULTS)
        vectors = torch.where(torch.rand(PAINTED, 1, 1) < DROP, self.mean, vectors)
        times = (torch.rand(PAINTED) * 1000).long()
        kept, noise = U.KEPT[times].view(-1, 1, 1, 1), torch.randn_like(z)
        with torch.autocast("cpu", torch.bfloat16), fast_group_norm():
            found = U.predict(self.model, kept.sqrt() * z + (1 - kept).sqrt() * noise, times, vectors)
        error = (found - noise).pow(2).mean((1, 2, 3))
        weight = (((1 - kept) / kept).view(-1)).clamp(0.5, 20)  # of what is known about the picture, at least a little
        return dict(noise=error.mean(), picture=0.3 * (error * weight).mean())

    def check(self, title):
        scenes = [o for group in self.captions.scenes for o in group[:: len(group) // 16]][:48]
        z = self.captions.latents[torch.tensor([self.captions.index[settled.key(o)] for o in scenes])].float()
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
        for faults in (0.0, 0.3):
            vectors = vectors_of(z)
            vectors[..., :LATENT] += faults * torch.randn(*vectors.shape[:2], LATENT, generator=torch.Generator().manual_seed(2))
            with torch.autocast("cpu", torch.bfloat16):
                drawn = U.paint(self.model, vectors, noise, 20)
            images = V.to_images(self.vae.decode(drawn / self.vae.config.scaling_factor).sample)
            good = [detector.same_objects(detector.detect(i), o) for i, o in zip(images, scenes)]
            print(title, "noise on vectors", faults, "right", np.mean(good), "error", (drawn - z).pow(2).mean().item(), flush=True)
        contact_sheet(images, ["+" if g else "-" for g in good], 12, f"{self.folder}/pisces-unet-sheet.png")


if __name__ == "__main__":
    kind = dict(core=CoreTask, unet=UnetTask)[sys.argv[2]]
    trainer.run(kind, sys.argv[1], float(sys.argv[3]) if len(sys.argv) > 3 else 900, sys.argv[4] if len(sys.argv) > 4 else None)
