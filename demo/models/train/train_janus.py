"""Trains the tiny Janus from the tiny JanusFlow: codes of drawings, and questions so that seeing stays what it is.

usage: python train_janus.py <work folder> [seconds] [checkpoint to go on from]      (after bank.py, train.py and train_vq.py)
"""
import random
import sys

import numpy as np
import torch
import torch.nn.functional as F

import detector
import scenes as S
import trainer
import vae as V
from batches import Drawings, Questions
from janus_model import Janus, draw_codes, unconditional
from llama import pack
from model import JanusFlow
from progress import answers, contact_sheet, held_out_prompts, held_out_questions
from prompts import TASKS, fulfils
from questions import KINDS
from scoring import by
from tokens import START, drawing_ids
from train_vq import codes_of
from vq import VQ

PROMPTS, PICTURES, EACH, DROP = 24, 4, 3, 0.1


def bank_codes(bank, centres):
    """Codes (N, 64) of all scenes of the bank."""
    every = [o for group in bank["scenes"].values() for o in group]
    parts = [every[i : i + 2000] for i in range(0, len(every), 2000)]
    return torch.cat([codes_of(np.stack([S.render(o) for o in p]), centres).short() for p in parts])


def load_vq(folder):
    saved = torch.load(folder + "/vq.pt")
    vq = VQ()
    vq.load_state_dict(saved["vq"])
    return vq.eval(), saved["centres"]


class JanusTask(trainer.Task):
    name, images = "janus", PROMPTS

    def __init__(self, folder, rank):
        self.folder = folder
        self.model, self.heads = Janus(), torch.nn.Module()
        flow = JanusFlow()
        flow.load_state_dict(torch.load(folder + "/model.pt")["ema"])
        rng = random.Random(300 + rank)
        pixels = V.to_tensor(np.stack([S.render(S.free_scene(rng)) for _ in range(200)])).contiguous()
        with torch.no_grad():
            self.model.warm_up(flow, flow.see(pixels).flatten(0, 1))
        if rank < 0:
            return
        bank = torch.load(folder + "/bank.pt", weights_only=False)
        self.codes = torch.load(folder + "/codes.pt")
        self.drawings, self.questions = Drawings(bank, random.Random(200 + rank)), Questions(rng)
        if rank == 0:
            self.vq, _ = load_vq(folder)
            self.prompts, self.asked = held_out_prompts(16, 777), held_out_questions(60, 778)
            self.pixels = V.to_tensor(np.stack([S.render(q["scene"]) for q in self.asked]))

    def losses(self, done, step):
        rows, index = zip(*(self.drawings.one() for _ in range(PROMPTS)))
        ids, length = pack(rows)
        codes = self.codes[torch.tensor(index)].long()
        drop = torch.rand(PROMPTS, 1) < DROP
        ids = torch.where(drop, unconditional(ids, length), ids)
        pixels, asked, target, _, _ = self.questions.batch(PICTURES, EACH)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.model.code_logits(ids, length, codes)
            drawing = F.cross_entropy(logits.flatten(0, 1), codes.flatten())
            said = self.model.logits(self.model.see(pixels), START, asked)
            answer = F.cross_entropy(said.flatten(0, 1), target.flatten(), ignore_index=-100)
        return dict(codes=drawing, answer=0.2 * answer)

    def check(self, title, guidances=(2.0,)):
        rows = [drawing_ids(p["prompt"]) for p in self.prompts]
        for guidance in guidances:
            with torch.autocast("cpu", torch.bfloat16):
                codes = draw_codes(self.model, rows, range(1, 1 + len(rows)), guidance)
            images = V.to_images(self.vq.decode(codes))
            good = [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, self.prompts)]
            print(title, "guidance", guidance, by("task", TASKS, self.prompts, good), flush=True)
            contact_sheet(images, [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)], 16, f"{self.folder}/janus-sheet.png")
        with torch.autocast("cpu", torch.bfloat16):
            said = answers(self.model, self.pixels, [q["question"] for q in self.asked])
        print(title, "questions", by("kind", KINDS, self.asked, [s in q["answers"] for s, q in zip(said, self.asked)]), flush=True)


if __name__ == "__main__":
    folder, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 1800
    _, centres = load_vq(folder)
    torch.save(bank_codes(torch.load(folder + "/bank.pt", weights_only=False), centres), folder + "/codes.pt")
    trainer.run(JanusTask, folder, seconds, sys.argv[3] if len(sys.argv) > 3 else None)
