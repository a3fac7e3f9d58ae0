"""Chameleon's language model with its names and equations: the tiny JanusFlow's blocks with norms on queries and keys."""
import torch
import torch.nn as nn
import torch.nn.functional as F

import chameleon_tokens as T
from chance import pick
from janus_model import CODES
from llama import HEADS, HIDDEN, LlamaAttention, LlamaBody
from sequence import Sequence
from tokens import ID as BASE
from tower import attend

HEAD = HIDDEN // HEADS


class HeadNorm(nn.Module):
    """LayerNorm over each head, with a weight and a bias of its own for each."""

    def __init__(self):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(HEADS, HEAD)), nn.Parameter(torch.zeros(HEADS, HEAD))

    def forward(self, x):
        """(B, HEADS, T, HEAD)."""
        return F.layer_norm(x.float(), (HEAD,), eps=1e-5) * self.weight[:, None] + self.bias[:, None]


class NormedAttention(LlamaAttention):
    def __init__(self):
        super().__init__()
        self.q_norm, self.k_norm = HeadNorm(), HeadNorm()

    def forward(self, x, mask, rope):
        b, t, _ = x.shape
        w = torch.cat((self.q_proj.weight, self.k_proj.weight, self.v_proj.weight))
        q, k, v = F.linear(x, w).view(b, t, 3, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        self.lengths = q.detach(), k.detach()
        cos, sin = rope
        first, second = torch.stack((self.q_norm(q), self.k_norm(k))).to(v.dtype).chunk(2, -1)
        q, k = torch.cat((first * cos - second * sin, second * cos + first * sin), -1)
        return self.o_proj(attend(q, k, v, mask).transpose(1, 2).reshape(b, t, HIDDEN))


class Chameleon(nn.Module):
    """`model.*` and `lm_head.*` of ChameleonForConditionalGeneration; the VQ-GAN is trained apart."""

    def __init__(self):
        super().__init__()
        self.model = LlamaBody()
        self.model.embed_tokens = nn.Embedding(T.ROWS, HIDDEN)
        for layer in self.model.layers:
            layer.self_attn = NormedAttention()
        self.lm_head = nn.Linear(HIDDEN, T.ROWS, bias=False)
        nn.init.normal_(self.model.embed_tokens.weight, 0, 0.5)
        nn.init.normal_(self.lm_head.weight, 0, 0.04)

    def warm_up(self, janus, ids):
        """Takes over words, codes and core of a tiny Janus; the norms' weights become what queries and keys measured on `ids`."""
        with torch.no_grad():
            self.model.load_state_dict({k: v for k, v in janus.language_model.model.state_dict().items() if k != "embed_tokens.weight"}, strict=False)
            same = {BASE[w]: T.ID[w] for w in T.WORDS if w in BASE}
            same |= {0: T.START, 1: T.END, 5: T.BEGIN, 6: T.FINISH, 7: T.ID[T.UNK], BASE["Assistant:"]: T.TURN}
            old, new = (torch.tensor(list(x)) for x in (same.keys(), same.values()))
            self.model.embed_tokens.weight[new] = janus.language_model.model.embed_tokens.weight[old]
            self.lm_head.weight[new] = janus.language_model.lm_head.weight[old]
            codes = slice(T.FIRST, T.FIRST + len(janus.gen_embed.weight))
            self.model.embed_tokens.weight[codes] = janus.gen_aligner(janus.gen_embed.weight)
            self.lm_head.weight[codes] = 0.5 * janus.gen_head.vision_head.weight @ janus.gen_head.output_mlp_projector.weight
            for layer in self.model.layers:  # one after the other: each sees what the measured ones before it give
                self(plain(ids))
                attention = layer.self_attn
                for norm, x in zip((attention.q_norm, attention.k_norm), attention.lengths):
                    norm.weight.copy_(x.float().pow(2).mean((0, 2)).sqrt())

    def probed(self, s, probe=None):
        """Normalised states (B, T, HIDDEN) of a `Sequence` of texts, and the raw ones after layer `probe`."""
        return self.model(torch.cat([self.model.embed_tokens(ids) for _, ids in s.parts], 1), *s.layout(), probe)

    def states(self, s):
        """Normalised states (B, T, HIDDEN) of a `Sequence` of texts."""
        return self.probed(s)[0]

    def forward(self, s):
        return self.lm_head(self.states(s)).float()


def plain(ids):
    """The sequence of right-padded ids (B, T)."""
    s = Sequence()
    s.text(ids)
    return s


def last(model, rows):
    """Logits (B, rows) after the last id of each row."""
    length = torch.tensor([len(r) for r in rows])
    ids = torch.full((len(rows), int(length.max())), T.ID[T.PAD])
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    return model.lm_head(model.states(plain(ids))[torch.arange(len(rows)), length - 1]).float()


@torch.no_grad()
def draw_codes(model, prompts, seeds, text_guidance, image_guidance, temperature=1.0):
    """Codes (B, 64) after prompts (ids without the last <racm3:break>): Meta's three contexts, the library's random numbers."""
    kept = {T.START, T.BEGIN, T.FINISH, *range(T.FIRST, T.FINISH)}
    full = [[*p, T.BEGIN] for p in prompts]
    seen = [[i for i in p if i in kept] for p in full]
    weights = [(full, text_guidance), (seen, image_guidance - text_guidance), ([[T.START, T.BEGIN]] * len(full), 1 - image_guidance)]
    if all(len(s) == 2 for s in seen):
        weights = [(full, text_guidance), (seen, 1 - text_guidance)]
    out = torch.zeros(len(full), 0, dtype=torch.long)
    for k in range(CODES):
        logits = sum(w * last(model, [[*r, *(T.FIRST + c for c in o)] for r, o in zip(rows, out.tolist())]) for rows, w in weights if w != 0)
        out = torch.cat((out, pick(logits[:, T.FIRST : T.FINISH], seeds, k, temperature)[:, None]), 1)
    return out


@torch.no_grad()
def answer(model, ids, longest=14):
    """The greedy text after ids."""
    ids, said = list(ids), []
    while len(said) < longest:
        n = int(last(model, [ids])[0].argmax())
        if n == T.END:
            break
        ids.append(n)
        said.append(T.VOCABULARY[n] if n < len(T.VOCABULARY) else "?")
    return " ".join(said)
