"""Goes on training what only seeing uses: the vision tower, its aligner, and the language head. Drawing stays as it is, bit for bit.

usage: python train_seeing.py <work folder> [seconds]      (after train.py; changes model.pt)
"""
import math
import random
import sys
import time

import torch
import torch.nn.functional as F

from batches import Questions
from model import JanusFlow
from tokens import START

ONLY_SEEING = ("vision_und_enc_model.", "vision_und_enc_aligner.", "beg_of_und_embed", "language_model.lm_head.")
RATE, WARMUP, PICTURES, EACH = 1e-3, 50, 16, 4


def main(folder, seconds):
    torch.manual_seed(7)
    saved = torch.load(folder + "/model.pt")
    model = JanusFlow()
    model.load_state_dict(saved["ema"])
    own = []
    for name, p in model.named_parameters():
        p.requires_grad_(name.startswith(ONLY_SEEING))
        own += [p] if p.requires_grad else []
    optimizer = torch.optim.AdamW(own, RATE, betas=(0.9, 0.98), weight_decay=0.02, fused=True)
    questions = Questions(random.Random(400))
    began, step, mean = time.time(), 0, None
    while (done := (time.time() - began) / seconds) < 1:
        pixels, asked, target, _, _ = questions.batch(PICTURES, EACH)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model.logits(model.see(pixels), START, asked)
            loss = F.cross_entropy(logits.float().flatten(0, 1), target.flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        optimizer.step()
        optimizer.zero_grad()
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"{step} {time.time() - began:.0f}s answer {mean:.4f}", flush=True)
    saved["ema"] = {k: v.detach().clone() for k, v in model.state_dict().items()}
    torch.save(saved, folder + "/model.pt")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 240)
