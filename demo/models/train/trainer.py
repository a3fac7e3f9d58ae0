"""Trains a model for a given number of seconds in two processes (or one) of one thread each, whose weights are averaged every few steps.

A task (see `Task`) says what is trained on what. Weights and optimiser state meet in shared memory, so that a process that has to
wait for the processor holds up the other only every SYNC steps. `<folder>/<name>.pt` holds the averaged and the raw weights.
"""
import math
import os
import time

import torch
import torch.multiprocessing as mp

from quiet import wait

PROCESSES, SYNC, EVERY = 2, 4, 200


class Task:
    """What a family implements; built once in every process."""

    name = "model"
    rate, warmup, floor = 1.5e-3, 100, 0.02
    check_every = 300  # seconds
    images = 0  # pictures of one step of one process
    processes = PROCESSES

    def __init__(self, folder, rank):
        """Sets `model`, and `heads` where something is trained that is not shipped."""
        self.model = self.heads = torch.nn.Module()

    def losses(self, done, step):
        """Name -> loss, already weighted; 0 where a step leaves a part out."""
        raise NotImplementedError

    def check(self, title):
        """Prints scores of the averaged weights, which `model` holds during the call."""


class Report:
    """Process 0's clock, averaged weights, lines and checkpoints."""

    def __init__(self, task, folder, saved):
        self.task, self.path = task, f"{folder}/{task.name}.pt"
        self.average = saved["ema"] if saved else {k: v.detach().clone() for k, v in task.model.state_dict().items()}
        self.start, self.next, self.means = time.time(), task.check_every, None

    def spent(self):
        return time.time() - self.start

    def pause(self, seconds):
        self.start += seconds

    def after(self, step, names, values):
        if self.means is None:
            self.means = list(values)
        self.means = [m if v == 0 else m + 0.01 * (v - m) for m, v in zip(self.means, values)]
        if step % SYNC:
            return
        keep = min(0.999, (1 + step) / (10 + step)) ** SYNC
        own = self.task.model.state_dict()
        floating = [k for k in own if own[k].is_floating_point()]
        torch._foreach_lerp_([self.average[k] for k in floating], [own[k] for k in floating], 1 - keep)
        if step % EVERY == 0:
            seen = step * self.task.images * self.task.processes
            print(f"{step} {self.spent():.0f}s {seen / self.spent():.0f} img/s", *(f"{n} {m:.4f}" for n, m in zip(names, self.means)), flush=True)
            self.save()
        if self.spent() > self.next:
            self.next += self.task.check_every
            self.check(f"{step} {self.spent():.0f}s")

    def save(self):
        torch.save(dict(ema=self.average, raw=self.task.model.state_dict(), heads=self.task.heads.state_dict()), self.path + ".part")
        os.replace(self.path + ".part", self.path)

    def check(self, title):
        began = time.time()
        self.save()
        model = self.task.model
        raw = {k: v.clone() for k, v in model.state_dict().items()}
        model.load_state_dict(self.average)
        torch.set_num_threads(self.task.processes)
        with torch.no_grad():
            self.task.check(title)
        torch.set_num_threads(1)
        model.load_state_dict(raw)
        self.pause(time.time() - began)


def budget(folder, task, seconds):
    """The training time: a file `<name>.seconds` in the work folder changes it on the way."""
    path = f"{folder}/{task.name}.seconds"
    return float(open(path).read()) if os.path.exists(path) else seconds


def work(rank, kind, folder, seconds, resume, shared, clock, barrier):
    os.setsid()  # a session of its own: Linux then schedules the processes as two jobs, not as one
    torch.set_num_threads(1)
    torch.manual_seed(1)
    task = kind(folder, rank)
    saved = torch.load(resume) if resume else None
    if saved:
        task.model.load_state_dict(saved["raw"])
        task.heads.load_state_dict(saved["heads"], strict=False)  # a head may be new
    torch.manual_seed(100 + rank + (1000 if saved else 0))
    parameters = [p for p in (*task.model.parameters(), *task.heads.parameters()) if p.requires_grad]
    groups = [dict(params=[p for p in parameters if (p.dim() > 1) == (w > 0)], weight_decay=w) for w in (0.02, 0.0)]
    optimizer = torch.optim.AdamW(groups, task.rate, betas=(0.9, 0.98), fused=True)
    report = Report(task, folder, saved) if rank == 0 else None
    step = 0
    while True:
        waited = wait()
        if report:
            report.pause(waited)
        if step % SYNC == 0:
            if report:
                clock[0] = report.spent() / budget(folder, task, seconds)
            if step:
                state = [optimizer.state[p][k] for p in parameters for k in ("exp_avg", "exp_avg_sq")]
                flat = [t.data.view(-1) for t in (*parameters, *state)]
                torch.cat(flat, out=shared[rank, : sum(len(f) for f in flat)])
                barrier.wait()
                mean = shared.mean(0)[: sum(len(f) for f in flat)]
                torch._foreach_copy_(flat, list(mean.split([len(f) for f in flat])))
            barrier.wait()  # everybody has read the sums, and the clock is set
            done = float(clock[0])
            if done >= 1:
                break
        losses = task.losses(done, step)
        sum(losses.values()).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for group in optimizer.param_groups:
            group["lr"] = task.rate * min(1, (step + 1) / task.warmup) * (task.floor + (1 - task.floor) * 0.5 * (1 + math.cos(math.pi * done)))
        for p in parameters:  # a part that a step leaves out still has moments to average
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        step += 1
        if report:
            report.after(step, list(losses), [v.item() for v in losses.values()])
    if report:
        report.check(f"final {step}")


def run(kind, folder, seconds, resume=None):
    """Trains; `resume` is a checkpoint of the same task to go on from (with fresh optimiser state)."""
    task = kind(folder, -1)
    count = sum(p.numel() for m in (task.model, task.heads) for p in m.parameters())
    print(task.name, "parameters", sum(p.numel() for p in task.model.parameters()), flush=True)
    shared = torch.zeros(kind.processes, 3 * count).share_memory_()
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    barrier = mp.get_context("spawn").Barrier(kind.processes)
    mp.spawn(work, (kind, folder, seconds, resume, shared, clock, barrier), nprocs=kind.processes)
