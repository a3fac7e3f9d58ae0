"""Trains the decoders of the tiny Nexus-Gen on true embeddings with noise: the one of drawings, or (after the tower) the one of edits.

usage: python train_nexus_decoders.py <work folder> generation|edit [seconds] [checkpoint to go on from]
"""
import random
import sys

import numpy as np
import torch
from diffusers import AutoencoderKL

import detector
import nexus_latents
import settled
import trainer
import vae as V
from flux_model import Decoder, paint
from nexus_tower import Space
from progress import contact_sheet
from sequence import LATENT
from settled_batches import Captions, disturbed, vectors_of
from train_nexus import load_flow, load_tower, pictures

BATCH, NOISE, DROP, STEPS = 64, 0.6, 0.05, 20


class DecoderTask(trainer.Task):
    """What both have in common."""

    images, processes, rate, check_every, edits = BATCH, 1, 2e-3, 1e9, False

    def __init__(self, folder, rank):
        self.folder, self.model, self.heads = folder, Decoder(self.edits), torch.nn.Module()
        if rank < 0:
            return
        torch.manual_seed(40 + rank)
        self.space = Space(load_flow(folder).vision_und_enc_aligner)
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
        self.turn = nexus_latents.fit(self.vae)[0]
        self.prepare()

    def losses(self, done, step):
        z, source = self.batch()
        drawn = self.space.embeddings(disturbed(vectors_of(z), NOISE)) + 0.03 * torch.randn(len(z), 16, 160)
        u = torch.rand(len(z))
        sigma = 2 * u / (1 + u)
        x, noise = nexus_latents.to_flow(z, self.turn), torch.randn_like(z)
        mixed = (1 - sigma.view(-1, 1, 1, 1)) * x + sigma.view(-1, 1, 1, 1) * noise
        with torch.autocast("cpu", torch.bfloat16):
            context = self.model.context(drawn, source).float()
            context = torch.where(torch.rand(len(z), 1, 1) < DROP, self.model.negative.repeat(context.shape[1] // 16, 1), context)
            velocity = self.model.velocity(mixed, sigma, context)
        return dict(velocity=(velocity - (noise - x)).pow(2).mean())

    def scored(self, title, z, source, scenes):
        noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(1))
        for faults in (0.0, 0.3):
            vectors = vectors_of(z)
            vectors[..., :LATENT] += faults * torch.randn(*vectors.shape[:2], LATENT, generator=torch.Generator().manual_seed(2))
            with torch.autocast("cpu", torch.bfloat16):
                x = paint(self.model, self.space.embeddings(vectors), source, noise, STEPS)
            back = nexus_latents.from_flow(x, self.turn)
            images = V.to_images(self.vae.decode(back / self.vae.config.scaling_factor).sample)
            good = [detector.same_objects(detector.detect(i), o) for i, o in zip(images, scenes)]
            print(title, "noise on embeddings", faults, "right", np.mean(good), "error", (back - z).pow(2).mean().item(), flush=True)
        contact_sheet(images, ["+" if g else "-" for g in good], 12, f"{self.folder}/{self.name}-sheet.png")


class GenerationTask(DecoderTask):
    name = "nexus-generation"

    def prepare(self):
        self.captions = Captions(self.folder, random.Random(600))

    def batch(self):
        return self.captions.latents[torch.randint(0, len(self.captions.latents), (BATCH,))].float(), None

    def check(self, title):
        scenes = [o for group in self.captions.scenes for o in group[:: len(group) // 16]][:48]
        z = self.captions.latents[torch.tensor([self.captions.index[settled.key(o)] for o in scenes])].float()
        self.scored(title, z, None, scenes)


class EditTask(DecoderTask):
    name, edits = "nexus-edit", True

    def prepare(self):
        self.changes, tower = Edits(self.folder), load_tower(self.folder)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            parts = [self.changes.items[i : i + 200] for i in range(0, len(self.changes.items), 200)]
            self.sources = torch.cat([tower(pictures([e["before"] for e in p])).bfloat16() for p in parts])

    def batch(self):
        which = torch.randint(0, len(self.changes.items), (BATCH,))
        return self.changes.after[which].float(), self.sources[which].float()

    def check(self, title):
        which = torch.arange(0, 480, 10)
        self.scored(title, self.changes.after[which].float(), self.sources[which].float(), [self.changes.items[i]["after"] for i in which])


if __name__ == "__main__":
    kind = dict(generation=GenerationTask, edit=EditTask)[sys.argv[2]]
    trainer.run(kind, sys.argv[1], float(sys.argv[3]) if len(sys.argv) > 3 else 400, sys.argv[4] if len(sys.argv) > 4 else None)
