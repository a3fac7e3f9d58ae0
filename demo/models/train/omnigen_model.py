"""OmniGen's transformer with its equations, on the core of the tiny JanusFlow; `published` gives the published names and shapes.

The core keeps LLaMA's separate matrices in training (Phi-3 stacks q, k, v and gate, up), patches are linear layers instead of
convolutions, and rope is Phi-3's with all factors 1 and no growth, which is plain rope.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import omnigen_tokens as T
from llama import HIDDEN, LAYERS, LlamaBody
from sequence import LATENT, PATCH, SIDE, Sequence, latents, patches

TIME, TABLE, BASE = 256, 192, 64


class Times(nn.Module):
    """Sinusoids of t in 0..1, then a small network."""

    def __init__(self):
        super().__init__()
        self.mlp = nn.ModuleDict({"0": nn.Linear(TIME, HIDDEN), "2": nn.Linear(HIDDEN, HIDDEN)})

    def forward(self, t):
        half = TIME // 2
        a = t[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        return self.mlp["2"](F.silu(self.mlp["0"](torch.cat((a.cos(), a.sin()), -1)))).float()


def places():
    """The middle 4x4 of OmniGen's table of patch positions, (16, HIDDEN)."""
    at = (torch.arange(SIDE) + (TABLE - SIDE) // 2).double() / (TABLE / BASE)
    w = 10000.0 ** (-torch.arange(HIDDEN // 4).double() / (HIDDEN // 4))
    one = torch.cat(((at[:, None] * w).sin(), (at[:, None] * w).cos()), -1)
    column, row = one[None].expand(SIDE, -1, -1), one[:, None].expand(-1, SIDE, -1)
    return torch.cat((column, row), -1).reshape(SIDE * SIDE, HIDDEN).float()


class FinalLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.adaLN_modulation = nn.ModuleDict({"1": nn.Linear(HIDDEN, 2 * HIDDEN)})
        self.linear = nn.Linear(HIDDEN, LATENT)

    def forward(self, x, c):
        shift, scale = self.adaLN_modulation["1"](F.silu(c)).float()[:, None].chunk(2, -1)
        return self.linear(F.layer_norm(x.float(), (HIDDEN,), eps=1e-6) * (1 + scale) + shift).float()


class OmniGen(nn.Module):
    def __init__(self):
        super().__init__()
        self.llm = LlamaBody()
        self.llm.embed_tokens = nn.Embedding(T.ROWS, HIDDEN)
        self.x_embedder = nn.ModuleDict(dict(proj=nn.Linear(LATENT, HIDDEN)))
        self.input_x_embedder = nn.ModuleDict(dict(proj=nn.Linear(LATENT, HIDDEN)))
        self.time_token, self.t_embedder = Times(), Times()
        self.final_layer = FinalLayer()
        self.register_buffer("pos_embed", places(), persistent=False)
        nn.init.normal_(self.llm.embed_tokens.weight, 0, 0.5)
        for p in (self.x_embedder.proj, self.input_x_embedder.proj):
            nn.init.normal_(p.weight, 0, 0.5 / LATENT**0.5)
        for m in (self.final_layer.adaLN_modulation["1"], self.final_layer.linear):
            nn.init.zeros_(m.weight)
            nn.init.zeros_(m.bias)

    def warm_up(self, flow):
        """Takes over words and core of a JanusFlow."""
        state = {k: v for k, v in flow.language_model.model.state_dict().items() if not k.startswith("embed_tokens")}
        self.llm.load_state_dict(state, strict=False)
        with torch.no_grad():
            known = flow.language_model.model.embed_tokens.weight
            self.llm.embed_tokens.weight[: len(known)] = known

    def forward(self, sequence, probe=None):
        """Normalised slots of a `Sequence(one_position=False)`."""
        embed = dict(
            text=self.llm.embed_tokens,
            time=lambda t: self.time_token(t)[:, None],
            picture=lambda z: self.input_x_embedder.proj(z).float() + self.pos_embed,
            noise=lambda z: self.x_embedder.proj(z).float() + self.pos_embed,
        )
        x = torch.cat([embed[kind](part) for kind, part in sequence.parts], 1)
        return self.llm(x, *sequence.layout(), probe)

    def velocity(self, y, t):
        """Slots (B, 16, HIDDEN) of a noisy picture at times (B) -> patches (B, 16, 16)."""
        return self.final_layer(y, self.t_embedder(t))


def noisy(sequence, z, t, group=0):
    """Appends the time and the noisy picture; where the picture's slots are."""
    sequence.time(t, group)
    return sequence.picture(z, None, group, "noise")


def published(state):
    """The tensors under the names and in the shapes of Shitao/OmniGen-v1."""
    out = {}
    for name, value in state.items():
        head = name.rsplit(".", 2)[0]
        if ".q_proj." in name:
            value = torch.cat([state[f"{head}.{n}_proj.weight"] for n in "qkv"])
            name = f"{head}.qkv_proj.weight"
        elif ".gate_proj." in name:
            value = torch.cat((value, state[f"{head}.up_proj.weight"]))
            name = f"{head}.gate_up_proj.weight"
        elif ".k_proj." in name or ".v_proj." in name or ".up_proj." in name:
            continue
        elif "x_embedder.proj.weight" in name:
            value = value.view(-1, PATCH, PATCH, LATENT // PATCH**2).permute(0, 3, 1, 2)
        out[name] = value.contiguous()
    return out


def start(rows, source):
    """A sequence up to the time: rows of ids, behind a picture where there is a `source` (B, 16, 16)."""
    length = torch.tensor([len(r) for r in rows])
    ids = torch.full((len(rows), int(length.max())), 2)
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    s = Sequence(one_position=False)
    if source is not None:
        s.text(torch.tensor(T.LOOK).expand(len(rows), -1))
        s.picture(source)
    s.text(ids, length)
    return s


@torch.no_grad()
def draw(model, prompts, noise, steps, guidance, source=None, image_guidance=1.6):
    """Latents (B, 4, 8, 8) by Euler's rule; with a `source` (B, 4, 8, 8), guided towards the picture and the instruction."""
    z, b = patches(noise), len(prompts)
    nothing = T.drawing(T.NOTHING)
    if source is None:
        branches = [([T.drawing(p) for p in prompts], None, guidance), ([nothing] * b, None, 1 - guidance)]
    else:
        source = patches(source)
        branches = [
            ([T.edit(p) for p in prompts], source, guidance),
            ([T.edit("")] * b, source, image_guidance - guidance),
            ([nothing] * b, None, 1 - image_guidance),
        ]
    for k in range(steps):
        t, v = torch.full((b,), k / steps), 0
        for rows, seen, weight in branches:
            if weight != 0:
                s = start(rows, seen)
                at = noisy(s, z, t)
                v = v + weight * model.velocity(model(s)[0][:, at], t)
        z = z + v / steps
    return latents(z)


assert LAYERS == 5
