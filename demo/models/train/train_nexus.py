"""Trains the tiny Nexus-Gen from the tiny JanusFlow: its tower and its core.

usage: python train_nexus.py <work folder> tower|core [seconds] [checkpoint to go on from]      (after train.py and settled_bank.py)

The tower comes first; train_nexus_decoders.py is independent of the core.
"""
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import edits
import nexus_tokens as T
import scenes as S
import settled
import tokens
import trainer
import vae as V
from batches import Edits, Questions, disturb
from model import JanusFlow
from nexus_model import NexusGen, answers
from nexus_tower import Space, Tower
from progress import contact_sheet, held_out_questions
from questions import KINDS
from scoring import by
from sequence import LATENT, patches
from settled_batches import PLACE, Captions, picture_of, vectors_of
from tower import TOKENS

SEEN, FREE, EACH = 20, 12, 2  # of the tower: scenes with latents, scenes with questions
CAPTIONS, EDITS, PICTURES = 8, 18, 12  # of the core, in its last minutes; at first 14, 16, 5, then 12, 22, 4


def load_flow(folder):
    flow = JanusFlow()
    flow.load_state_dict(torch.load(folder + "/model.pt")["ema"])
    return flow.eval().requires_grad_(False)


def load_tower(folder):
    tower = Tower()
    tower.load_state_dict(torch.load(folder + "/nexus-tower.pt")["ema"])
    return tower.eval().requires_grad_(False)


def pictures(scenes):
    return V.to_tensor(np.stack([S.render(o) for o in scenes])).contiguous()


class TowerTask(trainer.Task):
    """Learns what JanusFlow's tower sees, the latents of pictures, places, and to be asked about by JanusFlow's core, which stays as it is.

    Rotary positions tell a tower only how far apart patches are. Where they are it learns from what else it sees, and has to be asked for: a core
    that is to repeat a patch of an edited picture finds it by its place.
    """

    name, images, processes, rate, check_every = "nexus-tower", SEEN + FREE, 1, 2e-3, 1e9

    def __init__(self, folder, rank):
        self.folder, self.model, self.heads = folder, Tower(), torch.nn.Module()
        if rank < 0:
            return
        self.flow, rng = load_flow(folder), random.Random(500 + rank)
        self.space, self.questions, self.edits = Space(self.flow.vision_und_enc_aligner), Questions(rng), Edits(folder)
        self.more = torch.load(folder + "/more.pt", weights_only=False)
        self.asked = held_out_questions(60, 778)
        self.pixels = pictures([q["scene"] for q in self.asked])

    def said(self, tokens_, asked):
        """JanusFlow's logits, with this tower's tokens for its own."""
        aligner, self.flow.vision_und_enc_aligner = self.flow.vision_und_enc_aligner, torch.nn.Identity()
        logits = self.flow.logits(tokens_, tokens.START, asked)
        self.flow.vision_und_enc_aligner = aligner
        return logits

    def losses(self, done, step):
        changes, z, _ = self.edits.batch(SEEN // 2)
        free = torch.randint(0, len(self.more["free"]), (SEEN - len(changes),))
        known = pictures([*(e["before"] for e in changes), *(self.more["free"][i] for i in free)])
        z = torch.cat((z, self.more["seen"][free].float()))
        asked_about, asked, target, _, _ = self.questions.batch(FREE, EACH)
        pixels = torch.cat((known, asked_about))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                features = self.space.aligner(self.flow.see(pixels)).float()
            made = self.model(pixels)
            logits = self.said(made[SEEN:], asked)
            answer = F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100)
        own = self.space.vectors(made)
        latent, place = own.split((LATENT, TOKENS), -1)
        seen = (made - self.space.embeddings(own) - features).pow(2).mean() / features.var()
        places = (place - PLACE * torch.eye(TOKENS)).pow(2).mean()
        return dict(seen=seen, latents=(latent[:SEEN] - patches(z)).pow(2).mean(), places=places, answer=0.3 * answer)

    def check(self, title):
        with torch.autocast("cpu", torch.bfloat16):
            made = self.model(self.pixels)
            said = []
            for seen, q in zip(made, self.asked):
                ids = tokens.question_ids(q["question"])[len(tokens.START) :]
                start = len(ids)
                while len(ids) < start + 14 and (n := int(self.said(seen[None], torch.tensor([ids]))[0, -1].argmax())) != tokens.ID[tokens.EOS]:
                    ids.append(n)
                said.append(" ".join(tokens.NAME[n] for n in ids[start:]))
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)


class CoreTask(trainer.Task):
    """Learns captions, edits and questions; the tower is done."""

    name, images, processes, rate, check_every = "nexus", CAPTIONS + EDITS, 1, 7e-4, 420

    def __init__(self, folder, rank):
        self.folder, self.model, self.heads = folder, NexusGen(), torch.nn.Module()
        flow = load_flow(folder)
        pixels, asked, _, _, _ = Questions(random.Random(5)).batch(32, 4)
        self.model.warm_up(flow, lambda: flow.logits(flow.see(pixels), tokens.START, asked))
        if rank < 0:
            return
        self.space, self.tower, self.edits = Space(flow.vision_und_enc_aligner), load_tower(folder), Edits(folder)
        self.captions, self.questions = Captions(folder, random.Random(200 + rank)), T.Asked(random.Random(300 + rank))
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
        self.prompts, self.changes = settled.held_out_captions((8,) * 6 + (24,), random.Random(777)), edits.edit_set(48, 779)
        self.asked = held_out_questions(60, 778)

    def see(self, pixels):
        with torch.no_grad():
            return self.tower(pixels)

    def losses(self, done, step):
        rng = self.captions.rng
        prompts, z = self.captions.batch(CAPTIONS)
        rows = [T.drawing(disturb(T.words(p), rng, 0)) for p in prompts]
        changes, _, after = self.edits.batch(EDITS)
        asked_edits = [T.editing(disturb(T.words(e["prompt"]), rng, 0)) for e in changes]
        pixels, asked, target, _, _ = self.questions.batch(PICTURES, 3)
        with torch.autocast("cpu", torch.bfloat16):
            seen = self.see(torch.cat((pictures([e["before"] for e in changes]), pixels)))
            made = self.model.imagine(rows)
            changed = self.model.imagine(asked_edits, seen[:EDITS])
            said = self.model.logits(seen[EDITS:], asked)
            answer = F.cross_entropy(said.flatten(0, 1), target.flatten(), ignore_index=-100)

        def error(out, latents):
            return (out - self.space.embeddings(vectors_of(latents))).pow(2).sum(-1).mean() / LATENT

        return dict(drawing=error(made, z), edit=error(changed, after), answer=0.5 * answer)

    def check(self, title):
        def images_of(embeddings):
            z = picture_of(self.space.vectors(embeddings))
            return V.to_images(self.vae.decode(z / self.vae.config.scaling_factor).sample)

        with torch.autocast("cpu", torch.bfloat16):
            drawn = self.model.imagine([T.drawing(T.words(p["prompt"])) for p in self.prompts])
            seen = self.tower(pictures([e["before"] for e in self.changes]))
            edited = self.model.imagine([T.editing(T.words(e["prompt"])) for e in self.changes], seen)
        drawings, changed = images_of(drawn), images_of(edited)
        good = [settled.fulfils(i, p) for i, p in zip(drawings, self.prompts)]
        print(title, "embeddings decoded", by("task", settled.TASKS, self.prompts, good), flush=True)
        right = [edits.fulfils(i, e["after"]) for i, e in zip(changed, self.changes)]
        print(title, "edits", by("kind", edits.KINDS, self.changes, right), flush=True)
        shown = [*drawings, *(x for e, i in zip(self.changes[:24], changed) for x in (S.render(e["before"]), i))]
        names = [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)]
        names += [x for e, g in zip(self.changes[:24], right) for x in (e["prompt"], "+" if g else "-")]
        contact_sheet(shown, names, 12, f"{self.folder}/nexus-sheet.png")
        with torch.autocast("cpu", torch.bfloat16):
            said = answers(self.model, self.tower(pictures([q["scene"] for q in self.asked])), [q["question"] for q in self.asked])
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)


if __name__ == "__main__":
    kind = dict(tower=TowerTask, core=CoreTask)[sys.argv[2]]
    trainer.run(kind, sys.argv[1], float(sys.argv[3]) if len(sys.argv) > 3 else 900, sys.argv[4] if len(sys.argv) > 4 else None)
