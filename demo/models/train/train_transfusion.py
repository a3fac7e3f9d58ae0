"""Trains the tiny Transfusion: drawing, seeing, editing, and pictures between sentences.

usage: python train_transfusion.py <work folder> [seconds] [checkpoint to go on from]      (after bank.py and settled_bank.py)
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
from batches import Drawings, Edits, Questions
from more_bank import encode
from progress import contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS, captions
from scoring import by
from train import COLOUR_CLASSES, SHAPE_CLASSES, dense_loss
from sequence import Sequence, patches
from transfusion_model import DIM, Transfusion
from transfusion_sample import answer, draw

PROMPTS, NOISES, EDITS, PICTURES, EACH, MIXED = 10, 2, 16, 4, 4, 4  # in the last minutes; at first 14, 2, 6, 6, 3, 3, then 8, 2, 12, 8, 5, 3
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
    name, images, rate, warmup = "transfusion", PROMPTS * NOISES, 1e-3, 100  # 2e-3 before the last minutes

    def __init__(self, folder, rank):
        self.folder = folder
        self.model = Transfusion()
        self.heads = torch.nn.ModuleDict({k: torch.nn.Linear(DIM, SHAPE_CLASSES + COLOUR_CLASSES + n) for k, n in (("core", 2), ("seen", 4))})
        if rank < 0:
            return
        bank = torch.load(folder + "/bank.pt", weights_only=False)
        self.rng, self.bank = random.Random(200 + rank), bank
        self.every = [o for group in bank["scenes"].values() for o in group]
        self.drawings, self.questions, self.changes = Drawings(bank, self.rng), Questions(self.rng), Edits(folder)
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").to(memory_format=torch.channels_last).eval().requires_grad_(False)
        if rank == 0:
            self.prompts, self.asked, self.edits = held_out_prompts(16, 777), held_out_questions(60, 778), edits.edit_set(48, 779)

    def flow(self, sequence, slots, goals, probe=None):
        y, middle = self.model(sequence, probe)
        loss = torch.stack([(self.model.velocity(y[:, s]) - v).pow(2).mean() for s, v in zip(slots, goals)]).mean()
        return loss, y, middle

    def drawing(self):
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

    def dense(self, name, middle, slots, scenes):
        """What head `name` finds in the middle layer of pictures of these scenes (see train.dense_loss): a core is told of places by being asked for them."""
        labels, offsets = (torch.from_numpy(np.stack(x)) for x in zip(*(S.patch_labels(o) for o in scenes)))
        return sum(dense_loss(self.heads[name], middle[:, at], labels, offsets) for at in slots) / len(slots)

    def editing(self):
        """Velocities after a picture and an instruction, and dense labels of both pictures."""
        items, before, after = self.changes.batch(EDITS)
        before, after = patches(before), patches(after)
        drop = torch.rand(EDITS, 1) < DROP
        null = lambda ids: torch.where(drop, T.NULL, ids)
        s = Sequence()
        s.text(null(torch.tensor(T.LOOK).expand(EDITS, -1)))
        source = s.picture(before, nearly_clean(EDITS))
        ids, length = padded([T.edit(e["prompt"]) for e in items])
        s.text(null(ids), length)
        times = noise_times(EDITS, NOISES)
        mixed = [mix(after, times[:, k]) for k in range(NOISES)]
        slots = [s.picture(x, times[:, k], 1 + k) for k, (x, _) in enumerate(mixed)]
        loss, _, middle = self.flow(s, slots, [v for _, v in mixed], PROBE)
        told = self.dense("core", middle, slots, [e["after"] for e in items]), self.dense("seen", middle, [source], [e["before"] for e in items])
        return loss, *told

    def seeing(self):
        """Answers about pictures, and dense labels of the pictures."""
        scenes = self.questions.scenes(PICTURES)
        asked = [[self.questions.ask(o) for _ in range(EACH)] for o in scenes]
        s = Sequence()
        s.text(torch.tensor(T.LOOK).expand(PICTURES, -1))
        picture = s.picture(patches(encode(self.vae, scenes).float()), nearly_clean(PICTURES))
        s.text(torch.full((PICTURES, 1), T.EOM))
        losses, slots, goals = [], [], []
        for k in range(EACH):
            rows = [spoken(*row[k]) for row in asked]
            ids, length = padded(rows)
            at = torch.arange(ids.shape[1] - 1)[None]
            answered = (at >= torch.tensor([row[k][1] - 2 for row in asked])[:, None]) & (at < (length - 1)[:, None])
            goals.append(torch.where(answered, ids[:, 1:], -100))
            slots.append(s.text(ids, length, 1 + k))
        y, middle = self.model(s, PROBE)
        for slot, goal in zip(slots, goals):
            losses.append(F.cross_entropy(self.model.logits(y[:, slot][:, :-1]).flatten(0, 1), goal.flatten(), ignore_index=-100))
        return torch.stack(losses).mean(), self.dense("seen", middle, [picture], scenes)

    def mixed(self, edits):
        """`draw a red circle and say what you see` -> `here is a red circle` picture `i see a red circle`, or the same with an edit."""
        s, drop = Sequence(), torch.rand(MIXED, 1) < DROP
        if edits:
            items, source, z = self.changes.batch(MIXED)
            told, z = [captions(e["after"])[0] for e in items], patches(z)
            s.text(torch.where(drop, T.NULL, torch.tensor(T.LOOK)))
            s.picture(patches(source), nearly_clean(MIXED))
            before = [f"describe the picture {captions(e['before'])[0]} " if self.rng.random() < 0.5 else "" for e in items]
            asked = [[T.EOM, *T.words(f"{b}{e['prompt']} and say what you see")] for b, e in zip(before, items)]
        else:
            index = torch.tensor([self.rng.randrange(len(self.every)) for _ in range(MIXED)])
            told, z = [captions(self.every[i])[0] for i in index], patches(self.bank["latents"][index].float())
            asked = [[T.SOS, *T.words(f"draw {c} and say what you see")] for c in told]
        ids, length = padded([[*a, *T.words(f"here is {c}"), *T.BEGIN] for a, c in zip(asked, told)])
        first, times = s.text(torch.where(drop, T.NULL, ids), length), noise_times(MIXED, 1)[:, 0]
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
            goal = torch.where((at >= start[:, None]) & (at < (n - 1)[:, None]) & ~drop, text[:, 1:], -100)
            word = F.cross_entropy(self.model.logits(y[:, slot][:, :-1]).flatten(0, 1), goal.flatten(), ignore_index=-100, reduction="sum")
            out.append(word / (goal >= 0).sum().clamp(min=1))  # every row may be dropped
        return sum(out) / 2 + flow

    def losses(self, done, step):
        with torch.autocast("cpu", torch.bfloat16):
            flow, word, core = self.drawing()
            edit, after, before = self.editing()
            see, place = self.seeing()
            mixed = self.mixed(edits=step % 2 == 0)
        dense = 0.15 * (1 - 0.8 * done)
        return dict(flow=flow, edit=edit, see=see, words=0.05 * word, mixed=0.3 * mixed, core=dense * core, after=dense * after, seen=dense * (before + place))

    def check(self, title, guidance=2.0, intervals=8):
        rows = [T.drawing(p["prompt"]) for p in self.prompts]
        noise = torch.randn((len(rows), 4, 8, 8), generator=torch.Generator().manual_seed(1))
        with torch.autocast("cpu", torch.bfloat16):
            z = draw(self.model, rows, noise, intervals, guidance)
            before = encode(self.vae, [e["before"] for e in self.edits]).float()
            rows = [T.edit(e["prompt"]) for e in self.edits]
            edited = draw(self.model, rows, noise[: len(rows)], intervals, guidance, before)
            seen = encode(self.vae, [q["scene"] for q in self.asked]).float()
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


if __name__ == "__main__":
    trainer.run(TransfusionTask, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 2000, sys.argv[3] if len(sys.argv) > 3 else None)
