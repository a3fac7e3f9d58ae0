"""Trains the tiny Chameleon from the tiny Janus: drawing, seeing, editing, and pictures between sentences, all as codes.

usage: python train_chameleon.py <work folder> [seconds] [checkpoint to go on from]      (after train_janus.py and more_bank.py)
"""
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F

import chameleon_tokens as T
import detector
import edits
import scenes as S
import trainer
import vae as V
from batches import Drawings, Questions
from chameleon_model import Chameleon, answer, draw_codes
from janus_model import CODES, Janus
from progress import contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS, captions
from scoring import by
from sequence import Sequence
from tokens import ASSISTANT, NAME
from llama import HIDDEN
from train import COLOUR_CLASSES, SHAPE_CLASSES
from train_janus import load_vq
from train_vq import codes_of

PROMPTS, PICTURES, EACH, MIXED, EDITS, DROP = 5, 16, 6, 4, 8, 0.1  # in the last minutes; at first 20, 6, 3, 3, 2, then 8, 8, 3, 4, 12, then 6, 12, 6, 4, 8
PROBE, SIDE = 2, 8
GRID = torch.tensor([[x - 3.5, y - 3.5] for y in range(SIDE) for x in range(SIDE)])  # of codes, from the middle
IGNORE = -100


def translate(ids):
    """Ids of the shared words as ids of Chameleon; the role before an answer becomes the end of the turn."""
    return [T.TURN if i == ASSISTANT else T.ID.get(NAME[i], T.ID[T.UNK]) for i in ids]


def padded(rows, starts):
    """Right-padded ids, and what is to be predicted at every slot: everything from `starts` on."""
    width = max(len(r) for r in rows)
    ids, goal = torch.full((len(rows), width), T.ID[T.PAD]), torch.full((len(rows), width), IGNORE)
    for i, (r, start) in enumerate(zip(rows, starts)):
        ids[i, : len(r)] = torch.tensor(r)
        goal[i, start - 1 : len(r) - 1] = ids[i, start : len(r)]
    return ids, goal


def told_around(told, codes):
    """A picture between two sentences about it."""
    return [*T.words(f"here is {told}"), *T.picture(codes), *T.words(f"i see {told}"), T.END]


def place_loss(head, y, scenes):
    """What covers the patch of a code, where its centre is, from the patch and from the middle, and where the patch is.

    Rotary positions tell only distances: a core that is not asked for places answers "where" questions at chance for long.
    """
    labels, offsets = (torch.from_numpy(np.stack(x)) for x in zip(*(S.patch_labels(o, S.SIZE // SIDE) for o in scenes)))
    shape, colour, near, own = head(y).float().split((SHAPE_CLASSES, COLOUR_CLASSES, 4, 2), -1)
    full = (labels[..., :1] > 0).float()
    goal = torch.cat((offsets, (offsets + GRID) / 2), -1)
    covered = (full * (near - goal).pow(2)).sum() / (full.sum() + 1)
    named = F.cross_entropy(shape.flatten(0, 1), labels[..., 0].flatten()) + F.cross_entropy(colour.flatten(0, 1), labels[..., 1].flatten())
    return named + covered + (own - GRID / 2).pow(2).mean()


def render_codes(scenes, centres):
    return codes_of(np.stack([S.render(o) for o in scenes]), centres)


class ChameleonTask(trainer.Task):
    name, images, rate, warmup = "chameleon", PROMPTS, 1.2e-3, 150

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = Chameleon(), torch.nn.ModuleDict(dict(place=torch.nn.Linear(HIDDEN, SHAPE_CLASSES + COLOUR_CLASSES + 6)))
        self.vq, self.centres = load_vq(folder)
        bank, self.codes = torch.load(folder + "/bank.pt", weights_only=False), torch.load(folder + "/codes.pt")
        self.every = [o for group in bank["scenes"].values() for o in group]
        self.rng = random.Random(200 + rank)
        self.drawings, self.questions = Drawings(bank, self.rng), Questions(self.rng)
        janus = Janus()
        janus.load_state_dict(torch.load(folder + "/janus.pt")["ema"])
        rows, starts = zip(*(self.drawn(False) for _ in range(16)))
        self.model.warm_up(janus, padded(rows, starts)[0])
        if rank < 0:
            return
        self.changes = torch.load(folder + "/more.pt", weights_only=False)["edits"]
        self.before, self.after = (render_codes([e[k] for e in self.changes], self.centres) for k in ("before", "after"))
        if rank == 0:
            self.prompts, self.asked, self.edits = held_out_prompts(16, 777), held_out_questions(60, 778), edits.edit_set(36, 779)

    def drawn(self, drop):
        """(ids, where the codes start) of one drawing, without its prompt where dropped."""
        ids, index = self.drawings.one()
        prompt = [] if drop else translate(ids[2:])
        return [T.START, *prompt, *T.picture(self.codes[index]), T.END], 2 + len(prompt)

    def edited(self, drop):
        i = self.rng.randrange(len(self.changes))
        asked = [] if drop else [*T.words(self.changes[i]["prompt"]), T.TURN]
        head = [T.START, *T.picture(self.before[i]), *asked]
        return [*head, *T.picture(self.after[i]), T.END], len(head) + 1

    def mixed(self):
        """`draw a red circle and say what you see` -> `here is a red circle` picture `i see a red circle`."""
        i = self.rng.randrange(len(self.every))
        told = captions(self.every[i])[0]
        head = [T.START, *T.words(f"draw {told} and say what you see")]
        return [*head, *told_around(told, self.codes[i])], len(head)

    def conversed(self):
        """The same with an edit, half of them after the picture was described."""
        i = self.rng.randrange(len(self.changes))
        edit = self.changes[i]
        before = [*T.words("describe the picture"), T.TURN, *T.words(captions(edit["before"])[0]), T.TURN]
        head = [T.START, *T.picture(self.before[i]), *(before if self.rng.random() < 0.5 else []), *T.words(edit["prompt"] + " and say what you see")]
        return [*head, *told_around(captions(edit["after"])[0], self.after[i])], len(head)

    def whole(self, made):
        ids, goal = padded(*zip(*made))
        s = Sequence()
        s.text(ids)
        return F.cross_entropy(self.model(s).flatten(0, 1), goal.flatten(), ignore_index=IGNORE)

    def seeing(self):
        scenes = self.questions.scenes(PICTURES)
        s = Sequence()
        s.text(torch.tensor([[T.START, *T.picture(c)] for c in render_codes(scenes, self.centres)]))
        slots, goals = [], []
        for k in range(EACH):
            asked = [self.questions.ask(o) for o in scenes]
            ids, goal = padded([[*translate(ids[:-1]), T.END] for ids, _ in asked], [start for _, start in asked])
            slots.append(s.text(ids, None, 1 + k))
            goals.append(goal.flatten())
        y, middle = self.model.probed(s, PROBE)
        logits = torch.cat([self.model.lm_head(y[:, at]).flatten(0, 1) for at in slots])
        place = place_loss(self.heads["place"], middle[:, 2 : 2 + CODES], scenes)  # the first two slots open the picture
        return F.cross_entropy(logits.float(), torch.cat(goals), ignore_index=IGNORE), place

    def losses(self, done, step):
        zero = torch.zeros(())
        with torch.autocast("cpu", torch.bfloat16):
            drawing = self.whole([self.drawn(self.rng.random() < DROP) for _ in range(PROMPTS)])
            edit = self.whole([self.edited(self.rng.random() < DROP) for _ in range(EDITS)])
            mixed = zero if step % 2 else self.whole([self.mixed() if k % 2 else self.conversed() for k in range(MIXED)])
            see, place = self.seeing()
        return dict(codes=drawing, edit=edit, mixed=0.3 * mixed, see=see, place=0.3 * place)

    def check(self, title, guidance=2.0):
        prompts = [[T.START, *T.words(p["prompt"]), T.TURN] for p in self.prompts]
        before = self.vq.encode(V.to_tensor(np.stack([S.render(e["before"]) for e in self.edits])))
        asked = [[T.START, *T.picture(c), *T.words(e["prompt"]), T.TURN] for c, e in zip(before, self.edits)]
        seen = self.vq.encode(V.to_tensor(np.stack([S.render(q["scene"]) for q in self.asked])))
        with torch.autocast("cpu", torch.bfloat16):
            codes = draw_codes(self.model, prompts, range(1, 1 + len(prompts)), guidance, 1.0)
            changed = draw_codes(self.model, asked, range(1, 1 + len(asked)), guidance, 1.2)
            said = [answer(self.model, [T.START, *T.picture(c), *T.words(q["question"]), T.TURN]) for c, q in zip(seen, self.asked)]
        images, changed = (V.to_images(self.vq.decode(c)) for c in (codes, changed))
        good = [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, self.prompts)]
        print(title, "guidance", guidance, by("task", TASKS, self.prompts, good), flush=True)
        right = [edits.fulfils(i, e["after"]) for i, e in zip(changed, self.edits)]
        print(title, "edits", by("kind", edits.KINDS, self.edits, right), flush=True)
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)
        shown = [*images, *(x for e, i in zip(self.edits[:24], changed) for x in (S.render(e["before"]), i))]
        names = [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)]
        names += [x for e, g in zip(self.edits[:24], right) for x in (e["prompt"], "+" if g else "-")]
        contact_sheet(shown, names, 16, f"{self.folder}/chameleon-sheet.png")


assert CODES == 64

if __name__ == "__main__":
    trainer.run(ChameleonTask, sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1200, sys.argv[3] if len(sys.argv) > 3 else None)
