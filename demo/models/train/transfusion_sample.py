"""Drawing and answering with the tiny Transfusion, everything computed anew at every step (no key/value cache)."""
import torch

import transfusion_tokens as T
from sequence import Sequence, latents, patches

NAME = {i: w for w, i in T.ID.items()}


def start(rows, source, null):
    """A sequence up to where the picture begins: rows of ids, after a picture to edit where there is a `source` (B, 16, 16)."""
    b, width = len(rows), max(len(r) for r in rows)
    ids, length = torch.full((b, width), T.EOS), torch.tensor([len(r) for r in rows])
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    s = Sequence()
    if source is not None:
        head = torch.tensor(T.LOOK).expand(b, -1)
        s.text(torch.full_like(head, T.NULL) if null else head)
        s.picture(source, torch.ones(b))
    s.text(torch.full_like(ids, T.NULL) if null else ids, length)
    return s


@torch.no_grad()
def draw(model, rows, noise, intervals, guidance, source=None):
    """Latents (B, 4, 8, 8) by the explicit midpoint rule; `source` (B, 4, 8, 8) is what an edit starts from."""
    z, b = patches(noise), len(rows)
    source = None if source is None else patches(source)

    def velocity(z, t):
        out = []
        for null in (False, True)[: 1 if guidance == 1 else 2]:
            s = start(rows, source, null)
            at = s.picture(z, torch.full((b,), t))
            out.append(model.velocity(model(s)[0][:, at]))
        return out[0] if guidance == 1 else out[1] + guidance * (out[0] - out[1])

    h = 1 / intervals
    for k in range(intervals):
        t = k * h
        z = z + h * velocity(z + h / 2 * velocity(z, t), t + h / 2)
    return latents(z)


@torch.no_grad()
def answer(model, z, question, longest=14):
    """The greedy answer to a question about latents (1, 4, 8, 8)."""
    ids = T.words(question)
    start_at = len(ids)
    while len(ids) < start_at + longest:
        s = Sequence()
        s.text(torch.tensor([T.LOOK]))
        s.picture(patches(z), torch.ones(1))
        s.text(torch.tensor([[T.EOM, *ids]]))
        n = int(model.logits(model(s)[0][:, -1:]).argmax())
        if n == T.EOS:
            break
        ids.append(n)
    return " ".join(NAME.get(n, "?") for n in ids[start_at:])
