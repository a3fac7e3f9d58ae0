"""What training reports: an averaged copy of the weights, loss lines, task scores, contact sheets and checkpoints."""
import random
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageDraw

import detector
import scenes as S
import vae as V
from bank import GAP, RADIUS, STEP, same
from model import sample
from prompts import TASKS, fulfils, prompt_for
from questions import GRIDS, KINDS, question_for, scene_held_out
from tokens import EOS, ID, NAME, START, drawing_ids, question_ids

SYNC = 4  # steps between two averages of the processes
EVERY = 200  # steps between loss lines
CHECK = 270  # seconds between task scores


def draw_scene(task, rng):
    """A scene that the task's prompts can be written for."""
    if task in ("two objects", "attribution") or (task == "position" and rng.random() < 0.6):
        while True:
            a, b = S.kind(rng), S.kind(rng)
            p, q = S.spread(rng, 2, RADIUS, STEP, GAP)
            if a != b:
                return [(*a, *p, RADIUS), (*b, *q, RADIUS)]
    if task == "counting":
        n = rng.choice((1, 2, 2, 3, 3))
        return same(rng, n)
    return [(*S.kind(rng), *S.spot(rng, STEP), RADIUS)]


def held_out_prompts(each, seed):
    """`each` held-out prompts a task: dicts of task, prompt, spec and the scene they were written for."""
    rng, out = random.Random(seed), []
    for task in TASKS:
        mine, tries = [], 0
        while len(mine) < each:
            scene = draw_scene(task, rng)
            made = prompt_for(task, scene, rng)
            tries += 1
            # a task with few prompts repeats them (with other noise)
            if made and made[2] and (tries > 3000 or made[0] not in [m["prompt"] for m in mine]):
                mine.append(dict(task=task, prompt=made[0], spec=made[1], scene=scene))
        out += mine
    return out


def held_out_questions(count, seed):
    """Questions on scenes that training never shows: dicts of kind, question, answers and scene; kinds take turns."""
    rng, out = random.Random(seed), []
    while len(out) < count:
        scene = S.free_scene(rng, rng.choice(GRIDS))
        made = question_for(KINDS[len(out) % len(KINDS)], scene, rng)
        if made and scene_held_out(scene):
            out.append(dict(kind=KINDS[len(out) % len(KINDS)], question=made[0], answers=made[1], scene=scene))
    return out


def contact_sheet(images, captions, columns, path, scale=2):
    """Pictures with the prompt (and a mark) under each."""
    w, h = 64 * scale + 8, 64 * scale + 34
    sheet = Image.new("RGB", (columns * w, -(-len(images) // columns) * h), (225, 225, 225))
    pen = ImageDraw.Draw(sheet)
    for i, (image, caption) in enumerate(zip(images, captions)):
        x, y = i % columns * w + 4, i // columns * h + 4
        sheet.paste(Image.fromarray(image).resize((64 * scale, 64 * scale), Image.NEAREST), (x, y))
        lines, line = [], ""
        for word in caption.split():
            if len(line) + len(word) > 20:
                lines.append(line)
                line = ""
            line = f"{line} {word}".strip()
        for k, text in enumerate([*lines, line]):
            pen.text((x, y + 64 * scale + 1 + 10 * k), text, fill=(0, 0, 0))
    sheet.save(path)


@torch.no_grad()
def answers(model, pixels, questions, longest=14):
    """Greedy answers as word strings; every row goes through the real prompt."""
    features = model.see(pixels)
    out = []
    for i, question in enumerate(questions):
        ids = question_ids(question)[len(START) :]
        start = len(ids)
        while len(ids) < start + longest:
            n = int(model.logits(features[i : i + 1], START, torch.tensor([ids]))[0, -1].argmax())
            if n == ID[EOS]:
                break
            ids.append(n)
        out.append(" ".join(NAME[n] for n in ids[start:]))
    return out



class Progress:
    def __init__(self, folder, model, heads):
        self.folder, self.model, self.heads = folder, model, heads
        self.vae = AutoencoderKL.from_pretrained(folder + "/vae").eval()
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.start, self.paused, self.next, self.done = time.time(), 0.0, CHECK, 0.0
        self.prompts = held_out_prompts(16, 777)
        self.questions = held_out_questions(105, 778)
        self.pixels = V.to_tensor(np.stack([S.render(q["scene"]) for q in self.questions]))

    def spent(self):
        return time.time() - self.start - self.paused

    def after(self, step, values, images):
        """Called after every SYNC steps: moves the average, reports now and then."""
        keep = min(0.999, (1 + step) / (10 + step)) ** SYNC
        own = self.model.state_dict()
        torch._foreach_lerp_([self.average[k] for k in own], list(own.values()), 1 - keep)
        if step % EVERY == 0:
            flow, answer, core, tower = values
            self.save()
            print(f"{step} {self.spent():.0f}s {images / self.spent():.0f} img/s flow {flow:.4f} answer {answer:.4f} core {core:.3f} tower {tower:.4f}", flush=True)
        if self.spent() > self.next:
            began = time.time()
            self.check(f"{step} {self.spent():.0f}s", 16, (2.0,))
            self.next += CHECK
            self.paused += time.time() - began

    def save(self):
        torch.save(dict(ema=self.average, raw=self.model.state_dict(), heads=self.heads.state_dict(), done=self.done), f"{self.folder}/model.pt")

    def swap(self):
        own = {k: v.clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        self.average = own

    def check(self, title, steps, guidances):
        """Scores the averaged weights on held-out prompts and questions, and saves them."""
        self.save()
        self.swap()
        rows = [drawing_ids(p["prompt"]) for p in self.prompts]
        for guidance in guidances:
            noise = torch.randn((len(rows), 4, 8, 8), generator=torch.Generator().manual_seed(1))
            with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
                z = sample(self.model, rows, noise, steps, guidance)
            with torch.no_grad():
                images = V.to_images(self.vae.decode(z / self.vae.config.scaling_factor).sample)
            good = [fulfils(detector.detect(i), p["spec"]) for i, p in zip(images, self.prompts)]
            score = {t: round(float(np.mean([g for g, p in zip(good, self.prompts) if p["task"] == t])), 2) for t in TASKS}
            print(title, "guidance", guidance, score, "all", round(float(np.mean(good)), 3), flush=True)
            contact_sheet(images, [("+ " if g else "- ") + p["prompt"] for g, p in zip(good, self.prompts)], 16, f"{self.folder}/sheet{guidance:g}.png")
        with torch.autocast("cpu", torch.bfloat16):
            said = answers(self.model, self.pixels, [q["question"] for q in self.questions])
        right = [s in q["answers"] for s, q in zip(said, self.questions)]
        score = {k: round(float(np.mean([r for r, q in zip(right, self.questions) if q["kind"] == k])), 2) for k in KINDS}
        print(title, "questions", score, "all", round(float(np.mean(right)), 3), flush=True)
        self.swap()

    def finish(self, step):
        self.check(f"final {step}", 30, (1.0, 2.0, 3.0, 4.0))
