"""Trains the whole model, drawing and seeing together, for a given number of seconds on two CPU processes.

usage: python train.py <work folder> [seconds]      (after train_vae.py and bank.py)

Each process trains on batches of its own, on one thread; weights and optimiser state are averaged every few steps through shared
memory, so that a process that has to wait for the processor does not hold up the other at every step. Dense labels (which shape and
colour covers a patch, and where its centre is) are asked of the vision tower and of the core's middle layer by throw-away heads.
"""
import math
import os
import random
import sys

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.multiprocessing as mp

from batches import Drawings, Questions
from llama import HIDDEN, pack
from model import JanusFlow
from progress import SYNC, Progress
from tokens import START
from tower import SIDE, VIT

PROCESSES = 2
PROMPTS, NOISES, PICTURES, EACH = 16, 2, 6, 3  # per process and step: prompts, noises for each; pictures, questions on each
RATE, WARMUP, DROP, PROBE = 2e-3, 200, 0.1, 2
RARE = 0.85  # from this part of the time on, questions come every second step
SHAPE_CLASSES, COLOUR_CLASSES = 6, 7


class Heads(nn.Module):
    """Linear probes that give dense supervision in training and are not shipped."""

    def __init__(self):
        super().__init__()
        self.tower = nn.Linear(VIT, SHAPE_CLASSES + COLOUR_CLASSES + 4)
        self.core = nn.Linear(HIDDEN, SHAPE_CLASSES + COLOUR_CLASSES + 2)


GRID = torch.tensor([[x - 1.5, y - 1.5] for y in range(SIDE) for x in range(SIDE)])  # patch centres from the middle


def dense_loss(head, tokens, labels, offsets):
    """Cross entropy of shape and colour per patch, plus the squared error of where the covering shape's centre is."""
    y = head(tokens).float()
    shape, colour, place = y[..., :SHAPE_CLASSES], y[..., SHAPE_CLASSES:][..., :COLOUR_CLASSES], y[..., SHAPE_CLASSES + COLOUR_CLASSES :]
    full = (labels[..., :1] > 0).float()
    loss = F.cross_entropy(shape.flatten(0, 1), labels[..., 0].flatten()) + F.cross_entropy(colour.flatten(0, 1), labels[..., 1].flatten())
    goal = torch.cat((offsets, offsets + GRID), -1)[..., : place.shape[-1]]  # from the patch and, for the tower, from the middle
    return loss + (full * (place - goal).pow(2)).sum() / (full.sum() + 1)


def losses(model, heads, drawings, questions):
    """All four losses of one step's share of a process; without `questions` the two losses of seeing are 0."""
    rows, z1, labels, offsets = drawings.batch(PROMPTS)
    z1, labels, offsets = (a.repeat_interleave(NOISES, 0) for a in (z1, labels, offsets))
    ids, length = pack(rows)
    quantile = (torch.arange(len(z1)) % NOISES + torch.rand(len(z1))) / NOISES  # spread over the noise levels of a prompt
    t = torch.sigmoid(torch.special.ndtri(quantile.clamp(1e-4, 1 - 1e-4)) * 1.2 - 0.6)
    noise = torch.randn_like(z1)
    mix = t.view(-1, 1, 1, 1)
    answer = tower = torch.zeros(())
    with torch.autocast("cpu", torch.bfloat16):
        v, middle = model.velocity(mix * z1 + (1 - mix) * noise, 1000 * t, ids, length, torch.rand(PROMPTS) < DROP, PROBE)
        core = dense_loss(heads.core, middle, labels, offsets)
        if questions:
            pixels, asked, target, seen, where = questions.batch(PICTURES, EACH)
            features = model.see(pixels)
            tower = dense_loss(heads.tower, features, seen, where)
            logits = model.logits(features, START, asked)
            answer = F.cross_entropy(logits.float().flatten(0, 1), target.flatten(), ignore_index=-100)
    flow = (v.float() - (z1 - noise)).pow(2).mean()
    return flow, answer, core, tower


def budget(folder, seconds):
    """The training time: a file `seconds` in the work folder changes it on the way."""
    path = folder + "/seconds"
    return float(open(path).read()) if os.path.exists(path) else seconds


def work(rank, folder, seconds, shared, clock, barrier):
    """One process: its own steps, and every SYNC of them the average with the other."""
    os.setsid()  # a session of its own: Linux then schedules the processes as two jobs, not as one
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, heads = JanusFlow(), Heads()
    parameters = [*model.parameters(), *heads.parameters()]
    decay = [p for p in parameters if p.dim() > 1]
    plain = [p for p in parameters if p.dim() <= 1]
    optimizer = torch.optim.AdamW([dict(params=decay, weight_decay=0.02), dict(params=plain, weight_decay=0.0)], RATE, betas=(0.9, 0.98), fused=True)
    progress = Progress(folder, model, heads) if rank == 0 else None
    begun = 0.0
    if os.path.exists(folder + "/resume.pt"):
        saved = torch.load(folder + "/resume.pt")
        model.load_state_dict(saved["raw"])
        heads.load_state_dict(saved["heads"])
        begun = saved["done"]
        if progress:
            progress.average = saved["ema"]
    bank = torch.load(folder + "/bank.pt", weights_only=False)
    torch.manual_seed(100 + rank)
    drawings, questions = Drawings(bank, random.Random(200 + rank)), Questions(random.Random(300 + rank))
    step, average, done = 0, None, 0.0
    while True:
        if step % SYNC == 0:
            if rank == 0:
                clock[0] = progress.done = begun + (1 - begun) * progress.spent() / budget(folder, seconds)
            if step:
                state = [optimizer.state[p][k] for p in parameters for k in ("exp_avg", "exp_avg_sq")]
                flat = [t.data.view(-1) for t in (*parameters, *state)]
                torch.cat(flat, out=shared[rank])
                barrier.wait()
                mean = shared.mean(0)
                torch._foreach_copy_(flat, list(mean.split([len(f) for f in flat])))
            barrier.wait()  # everybody has read the sums, and the clock is set
            done = float(clock[0])
            if done >= 1:
                break
        ask = done < RARE or step % 2 == 0  # seeing is learned sooner than drawing
        values = losses(model, heads, drawings, questions if ask else None)
        flow, answer, core, tower = values
        aux = 1 - 0.8 * done
        (flow + 0.5 * answer + 0.15 * aux * core + 0.4 * aux * tower).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARMUP) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        step += 1
        if rank == 0:
            now = torch.stack([v.detach().float() for v in values])
            average = now if average is None else torch.where(now > 0, 0.99 * average + 0.01 * now, average)
            if step % SYNC == 0:
                progress.after(step, average.tolist(), step * PROMPTS * NOISES * PROCESSES)
    if rank == 0:
        progress.finish(step)


if __name__ == "__main__":
    folder, seconds = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 3600
    count = sum(p.numel() for m in (JanusFlow(), Heads()) for p in m.parameters())
    shared = torch.zeros(PROCESSES, 3 * count)  # weights and both moments
    shared.share_memory_()
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    barrier = mp.get_context("spawn").Barrier(PROCESSES)
    mp.spawn(work, (folder, seconds, shared, clock, barrier), nprocs=PROCESSES)
