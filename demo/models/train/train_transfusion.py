"""Trains the tiny Transfusion: drawing, seeing, editing, and pictures between sentences.

usage: python train_transfusion.py <work folder> [seconds] [checkpoint to go on from]      (after bank.py and more_bank.py)
"""
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

import detector
import edits
import scenes as S
import trainer
import transfusion_tokens as T
import vae as V
from batches import Drawings, Questions
from progress import contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS, captions
from scoring import by
from train import COLOUR_CLASSES, SHAPE_CLASSES, dense_loss
from sequence import Sequence, patches
from transfusion_model import DIM, Transfusion
from transfusion_sample import answer, draw

PROMPTS, NOISES, EDITS, PICTURES, EACH, MIXED = 8, 2, 11, 8, 4, 3  # the first 40 minutes: 14, 2, 6, 6, 3, 3, and edits at every second step
DROP, PROBE = 0.1, 2


def padded(rows):
    """Right-padded ids and lengths."""
    length = torch.tensor([len(r) for r in rows])
    ids = torch.full((len(rows), int(length.max())), T.EOS)
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    return ids, length


def spoken(ids, start):
    """A question and its answer without the role that stands between them in JanusFlow's prompt."""
    return [*ids[: start - 1], *ids[start:-1], T.EOS]


def noise_times(count, each):
    """Times (count, each): sigmoid of normals, spread over the `each` of a row."""
    quantile = (torch.arange(each)[None] + torch.rand(count, each)) / each
    return torch.sigmoid(torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4)) * 1.2 - 0.6)


def nearly_clean(count):
    """Times of pictures that are looked at: 1, or a little before it, as after the last step of a drawing."""
    return torch.where(torch.rand(count) < 0.5, 1.0, 1 - 0.06 * torch.rand(count))


def mix(z, t):
    """(what the model gets at time t, the velocity it should give)."""
    noise = torch.randn_like(z)
    w = t.view(-1, 1, 1)
    return w * z + (1 - w) * noise, z - noise


class TransfusionTask(trainer.Task):
    name, images, rate, warmup = "transfusion", PROMPTS * NOISES, 2e-3, 200

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = Transfusion(), torch.nn.ModuleDict(dict(core=torch.nn.Linear(DIM, SHAPE_CLASSES + COLOUR_CLASSES + 2)))
        if rank < 0:
            return
        bank, more = (torch.load(f"{folder}/{n}.pt", weights_only=False) for n in ("bank", "more"))
        self.rng = random.Random(200 + rank)
        self.bank, self.more = bank, more
        self.every = [o for group in bank["scenes"].values() for o in group]
        self.drawings, self.questions = Drawings(bank, self.rng), Questions(self.rng)
        if rank == 0:
            self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
            self.prompts, self.asked, self.edits = held_out_prompts(16, 777), held_out_questions(60, 778), edits.edit_set(48, 779)

    def flow(self, sequence, slots, goals, probe=None):
        y, middle = self.model(sequence, probe)
        loss = torch.stack([(self.model.velocity(y[:, s]) - v).pow(2).mean() for s, v in zip(slots, goals)]).mean()
        return loss, y, middle

    def drawing(self, done):
        """Velocities after prompts, the tokens that open a picture, and dense labels of the middle layer."""
        rows, index = zip(*(self.drawings.one() for _ in range(PROMPTS)))
        index = torch.tensor(index)
        ids, length = padded([[T.SOS, *r[2:-1], *T.BEGIN] for r in rows])  # words have the ids they have in JanusFlow's prompts
        drop = torch.rand(PROMPTS, 1) < DROP
        s = Sequence()
        text = s.text(torch.where(drop, T.NULL, ids), length)
        z, times = patches(self.bank["latents"][index].float()), noise_times(PROMPTS, NOISES)
        mixed = [mix(z, times[:, k]) for k in range(NOISES)]
        slots = [s.picture(x, times[:, k], 1 + k) for k, (x, _) in enumerate(mixed)]
        loss, y, middle = self.flow(s, slots, [v for _, v in mixed], PROBE)
        at = torch.arange(ids.shape[1] - 1)[None]
        opens = (at >= (length - len(T.BEGIN) - 1)[:, None]) & (at < (length - 1)[:, None]) & ~drop
        goal = torch.where(opens, ids[:, 1:], -100)
        word = F.cross_entropy(self.model.logits(y[:, text][:, :-1]).flatten(0, 1), goal.flatten(), ignore_index=-100)
        labels, offsets = (self.bank[k][index] for k in ("labels", "offsets"))
        core = sum(dense_loss(self.heads["core"], middle[:, p], labels.long(), offsets.float()) for p in slots) / NOISES
        return loss, word, core

    def editing(self):
        index = torch.randint(0, len(self.more["edits"]), (EDITS,))
        items = [self.more["edits"][i] for i in index]
        before, after = (patches(self.more[k][index].float()) for k in ("before", "after"))
        drop = torch.rand(EDITS, 1) < DROP
        null = lambda ids: torch.where(drop, T.NULL, ids)
        s = Sequence()
        s.text(null(torch.tensor(T.LOOK).expand(EDITS, -1)))
        s.picture(before, nearly_clean(EDITS))
        ids, length = padded([T.edit(e["prompt"]) for e in items])
        s.text(null(ids), length)
        times = noise_times(EDITS, NOISES)
        mixed = [mix(after, times[:, k]) for k in range(NOISES)]
        slots = [s.picture(x, times[:, k], 1 + k) for k, (x, _) in enumerate(mixed)]
        return self.flow(s, slots, [v for _, v in mixed])[0]

    def seeing(self):
        index = torch.randint(0, len(self.more["free"]), (PICTURES,))
        asked = [[self.questions.ask(self.more["free"][i]) for _ in range(EACH)] for i in index]
        s = Sequence()
        s.text(torch.tensor(T.LOOK).expand(PICTURES, -1))
        s.picture(patches(self.more["seen"][index].float()), nearly_clean(PICTURES))
        s.text(torch.full((PICTURES, 1), T.EOM))
        losses, slots, goals = [], [], []
        for k in range(EACH):
            rows = [spoken(*row[k]) for row in asked]
            ids, length = padded(rows)
            at = torch.arange(ids.shape[1] - 1)[None]
            answered = (at >= torch.tensor([row[k][1] - 2 for row in asked])[:, None]) & (at < (length - 1)[:, None])
            goals.append(torch.where(answered, ids[:, 1:], -100))
            slots.append(s.text(ids, length, 1 + k))
        y, _ = self.model(s)
        for slot, goal in zip(slots, goals):
            losses.append(F.cross_entropy(self.model.logits(y[:, slot][:, :-1]).flatten(0, 1), goal.flatten(), ignore_index=-100))
        return torch.stack(losses).mean()

    def mixed(self, edits):
        """`draw a red circle and say what you see` -> `here is a red circle` picture `i see a red circle`, or the same with an edit."""
        s = Sequence()
        if edits:
            index = torch.randint(0, len(self.more["edits"]), (MIXED,))
            items = [self.more["edits"][i] for i in index]
            told, z = [captions(e["after"])[0] for e in items], patches(self.more["after"][index].float())
            s.text(torch.tensor(T.LOOK).expand(MIXED, -1))
            s.picture(patches(self.more["before"][index].float()), nearly_clean(MIXED))
            before = [f"describe the picture {captions(e['before'])[0]} " if self.rng.random() < 0.5 else "" for e in items]
            asked = [[T.EOM, *T.words(f"{b}{e['prompt']} and say what you see")] for b, e in zip(before, items)]
        else:
            index = torch.tensor([self.rng.randrange(len(self.every)) for _ in range(MIXED)])
            told, z = [captions(self.every[i])[0] for i in index], patches(self.bank["latents"][index].float())
            asked = [[T.SOS, *T.words(f"draw {c} and say what you see")] for c in told]
        ids, length = padded([[*a, *T.words(f"here is {c}"), *T.BEGIN] for a, c in zip(asked, told)])
        first, times = s.text(ids, length), noise_times(MIXED, 1)[:, 0]
        x, velocity = mix(z, times)
        noisy = s.picture(x, times, 1)
        s.picture(z, nearly_clean(MIXED))
        rest, size = padded([[T.EOM, *T.words(f"i see {c}"), T.EOS] for c in told])
        last = s.text(rest, size)
        flow, y, _ = self.flow(s, [noisy], [velocity])
        starts = torch.tensor([len(a) - 1 for a in asked])
        out = []
        for slot, text, n, start in ((first, ids, length, starts), (last, rest, size, torch.zeros_like(starts))):
            at = torch.arange(text.shape[1] - 1)[None]
            goal = torch.where((at >= start[:, None]) & (at < (n - 1)[:, None]), text[:, 1:], -100)
            out.append(F.cross_entropy(self.model.logits(y[:, slot][:, :-1]).flatten(0, 1), goal.flatten(), ignore_index=-100))
        return sum(out) / 2 + flow

    def losses(self, done, step):
        zero = torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16):
            flow, word, core = self.drawing(done)
            edit = self.editing()
            see = self.seeing() if step % 2 else zero
            mixed = zero if step % 2 else self.mixed(edits=step % 4 == 0)
        return dict(flow=flow, edit=edit, see=0.5 * see, words=0.05 * word, mixed=0.2 * mixed, core=0.15 * (1 - 0.8 * done) * core)

    def check(self, title, guidance=2.0, intervals=8):
        rows = [T.drawing(p["prompt"]) for p in self.prompts]
        noise = torch.randn((len(rows), 4, 8, 8), generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            z = draw(self.model, rows, noise, intervals, guidance)
            before = torch.stack([encode_scene(self.vae, e["before"]) for e in self.edits])
            rows = [T.edit(e["prompt"]) for e in self.edits]
            edited = draw(self.model, rows, noise[: len(rows)], intervals, guidance, before)
            seen = torch.stack([encode_scene(self.vae, q["scene"]) for q in self.asked])
            said = [answer(self.model, seen[i : i + 1], q["question"]) for i, q in enumerate(self.asked)]
        images, changed = (V.to_images(self.vae.decode(x / self.vae.config.scaling_factor).sample) for x in (z, edited))
        good = [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, self.prompts)]
        print(title, "guidance", guidance, by("task", TASKS, self.prompts, good), flush=True)
        right = [edits.fulfils(i, e["after"]) for i, e in zip(changed, self.edits)]
        print(title, "edits", by("kind", edits.KINDS, self.edits, right), flush=True)
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)
        shown = [*images, *(x for e, i in zip(self.edits[:24], changed) for x in (S.render(e["before"]), i))]
        names = [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)]
        names += [x for e, g in zip(self.edits[:24], right) for x in (e["prompt"], "+" if g else "-")]
        contact_sheet(shown, names, 16, f"{self.folder}/transfusion-sheet.png")


def encode_scene(vae, scene):
    """Scaled latents (4, 8, 8) of one scene."""
    x = V.to_tensor(np.stack([S.render(scene)]))
    return (V.moments(vae, x)[0] * vae.config.scaling_factor)[0].float()


if __name__ == "__main__":
    trainer.run(TransfusionTask, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2000, sys.argv[3] if len(sys.argv) > 3 else None)
