"""Pisces' core, tower, projectors and head, made of the tiny Janus; `published` gives the names of src/models/pisces/README.md."""
import re

import torch
import torch.nn as nn
import torch.nn.functional as F

import pisces_tokens as T
from llama import HIDDEN, LanguageModel, greedy, layout
from settled_batches import SIZE
from shrink import INNER, KEPT, activity, smaller
from tower import TOKENS, VIT, VisionTower


class Projector(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(width, HIDDEN), nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x):
        return self.linear_2(F.gelu(self.linear_1(x)))


class Pisces(nn.Module):
    def __init__(self):
        super().__init__()
        self.language_model = LanguageModel(layers=len(KEPT), inner=INNER)
        self.vision_tower = VisionTower()
        self.understanding_projector = Projector(VIT)
        self.generation_projector = Projector(SIZE)
        self.generation_head = nn.Linear(HIDDEN, SIZE, bias=False)
        nn.init.normal_(self.generation_projector.linear_1.weight, 0, 0.2)
        nn.init.normal_(self.generation_projector.linear_2.weight, 0, 0.05)
        nn.init.normal_(self.generation_head.weight, 0, 0.02)

    def warm_up(self, janus, run):
        """Takes over what is there of a Janus: words, most of its core, tower and aligner. `run` shows it something (`activity`)."""
        body, use = janus.language_model.model, activity(janus.language_model, run)
        self.language_model.model.load_state_dict({**smaller(body.state_dict(), use), "embed_tokens.weight": body.embed_tokens.weight, "norm.weight": body.norm.weight})
        self.language_model.lm_head.load_state_dict(janus.language_model.lm_head.state_dict())
        self.vision_tower.load_state_dict(janus.vision_model.vision_tower.state_dict())
        for own, other in ((self.understanding_projector.linear_1, 0), (self.understanding_projector.linear_2, 2)):
            own.load_state_dict(janus.aligner.layers[other].state_dict())

    def embed(self, ids):
        return self.language_model.model.embed_tokens(torch.as_tensor(ids))

    def vectors(self, ids, length, known):
        """Vectors (B, 1 + K, 32) behind prompts (B, W) of `length` tokens, right-padded, and the `known` first K ones."""
        b, width = ids.shape
        begin = self.embed([T.ID[T.START]]).expand(b, 1, -1)
        picture = torch.cat((begin, self.generation_projector(known).float()), 1)
        visible = torch.arange(width)[None] < length[:, None]
        y, _ = self.language_model.model(torch.cat((self.embed(ids), picture), 1), *layout(visible, length, 1, picture.shape[1]))
        return self.generation_head(y[:, width:]).float()

    def see(self, pixels):
        """What the core gets of pictures in [-1, 1], (B, 16, HIDDEN)."""
        return self.understanding_projector(self.vision_tower(pixels)).float()

    def logits(self, seen, asked):
        """Next-token logits (B*K, W) of what is said (B*K, W) about each picture: K texts behind its tokens."""
        b, each, width = len(seen), len(asked) // len(seen), T.SEEN + TOKENS
        before = self.embed([*T.USER, T.ID[T.START]]).expand(b, -1, -1)
        x = torch.cat((before, seen, self.embed(asked).view(b, -1, HIDDEN)), 1)
        shown, length = torch.ones(b, width, dtype=torch.bool), torch.full((b,), width)
        y, _ = self.language_model.model(x, *layout(shown, length, each, asked.shape[1]))
        return self.language_model.lm_head(y[:, width:].reshape(b * each, asked.shape[1], HIDDEN)).float()


def pack(rows):
    """Right-padded ids and lengths."""
    length = torch.tensor([len(r) for r in rows])
    ids = torch.full((len(rows), int(length.max())), T.ID[T.END])
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    return ids, length


@torch.no_grad()
def imagine(model, prompts):
    """Vectors (B, 16, 32) of captions, one by one."""
    ids, length = pack([T.drawing(p) for p in prompts])
    known = torch.zeros(len(prompts), 0, SIZE)
    for _ in range(TOKENS):
        known = torch.cat((known, model.vectors(ids, length, known)[:, -1:]), 1)
    return known


@torch.no_grad()
def answers(model, pixels, questions, longest=14):
    """Greedy answers as word strings."""
    out = []
    for seen, text in zip(model.see(pixels), questions):
        said = greedy(lambda ids: model.logits(seen[None], ids), T.question(text), T.ID[T.EOT], longest)
        out.append(" ".join(T.NAME[n] for n in said))
    return out


TOWER = (
    (r"patch_embed\.proj\.", "embeddings.patch_embedding."), (r"blocks\.(\d+)\.norm1\.", r"encoder.layers.\1.layer_norm1."),
    (r"blocks\.(\d+)\.norm2\.", r"encoder.layers.\1.layer_norm2."), (r"blocks\.(\d+)\.attn\.proj\.", r"encoder.layers.\1.self_attn.out_proj."),
    (r"blocks\.(\d+)\.mlp\.", r"encoder.layers.\1.mlp."), (r"blocks\.(\d+)\.attn\.qkv\.", r"encoder.layers.\1.self_attn.qkv."), (r"^norm\.", "post_layernorm."),
)


def published(state):
    """The tensors under the names of the layout."""
    out, tower = {}, "vision_tower."
    for name, value in state.items():
        if not name.startswith(tower):
            out[name] = value
            continue
        inner = name[len(tower) :]
        for old, new in TOWER:
            inner = re.sub(old, new, inner)
        if inner == "pos_embed":
            inner, value = "embeddings.position_embedding.weight", value[0]
        parts = {n: inner.replace(".qkv.", f".{n}_proj.") for n in "qkv"} if ".qkv." in inner else {"": inner}
        for piece, part in zip(value.chunk(3) if "q" in parts else [value], parts.values()):
            out[f"{tower}vision_model.{part}"] = piece.contiguous()
    return out


def trained(tensors):
    """The inverse of `published`."""
    model = Pisces()
    state = {name: torch.cat([tensors[n] for n in published({name: value})]).view(value.shape) for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    return model.eval()
