"""LLaMA as transformers has it, small, and written for fast CPU training: batches of right-padded prompts whose prefix is shared."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from tokens import ID, IMAGE_BEG, PAD, ROWS
from tower import EPS, TOKENS, attend

HIDDEN, LAYERS, HEADS, FF = 160, 5, 5, 416


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, EPS)


class LlamaAttention(nn.Module):
    def __init__(self, bias=False):
        super().__init__()
        for n in "qkv":
            setattr(self, n + "_proj", nn.Linear(HIDDEN, HIDDEN, bias=bias))
        self.o_proj = nn.Linear(HIDDEN, HIDDEN, bias=False)

    def forward(self, x, mask, rope):
        b, t, _ = x.shape
        parts = (self.q_proj, self.k_proj, self.v_proj)
        bias = None if self.q_proj.bias is None else torch.cat([p.bias for p in parts])
        qkv = F.linear(x, torch.cat([p.weight for p in parts]), bias).view(b, t, 3 * HEADS, -1).transpose(1, 2)
        qk, v = qkv[:, : 2 * HEADS], qkv[:, 2 * HEADS :]
        cos, sin = rope
        p, q = qk.chunk(2, -1)
        qk = torch.cat((p * cos - q * sin, q * cos + p * sin), -1)
        y = attend(qk[:, :HEADS], qk[:, HEADS:], v, mask)
        return self.o_proj(y.transpose(1, 2).reshape(b, t, HIDDEN))


class LlamaMLP(nn.Module):
    def __init__(self, inner=FF):
        super().__init__()
        self.gate_proj = nn.Linear(HIDDEN, inner, bias=False)
        self.up_proj = nn.Linear(HIDDEN, inner, bias=False)
        self.down_proj = nn.Linear(inner, HIDDEN, bias=False)

    def forward(self, x):
        gate, up = F.linear(x, torch.cat((self.gate_proj.weight, self.up_proj.weight))).chunk(2, -1)
        return self.down_proj(F.silu(gate) * up)


class LlamaLayer(nn.Module):
    """`bias`: of q, k and v, as Qwen has them."""

    def __init__(self, inner=FF, bias=False):
        super().__init__()
        self.input_layernorm = RMSNorm(HIDDEN)
        self.self_attn = LlamaAttention(bias)
        self.post_attention_layernorm = RMSNorm(HIDDEN)
        self.mlp = LlamaMLP(inner)

    def forward(self, x, mask, rope):
        x = x + self.self_attn(self.input_layernorm(x), mask, rope)
        return x + self.mlp(self.post_attention_layernorm(x))


def rope_of(position):
    """cos and sin (B, 1, T, 16) of slots at positions (B, T), or at positions of their own for every frequency (B, T, 16)."""
    half = HIDDEN // HEADS // 2
    each = position[..., None] if position.dim() == 2 else position
    a = each[:, None] * 10000 ** (-torch.arange(half) / half)
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
    return a.cos().to(dtype), a.sin().to(dtype)


class LlamaBody(nn.Module):
    def __init__(self, rows=ROWS, layers=LAYERS, inner=FF, bias=False):
        super().__init__()
        self.embed_tokens = nn.Embedding(rows, HIDDEN)
        self.layers = nn.ModuleList(LlamaLayer(inner, bias) for _ in range(layers))
        self.norm = RMSNorm(HIDDEN)

    def forward(self, x, position, allowed, probe=None):
        """Normalised states (and the raw states after layer `probe`) of slots at positions (rope_of), seeing what is allowed (B, T, T)."""
        rope = rope_of(position)
        dtype = rope[0].dtype
        mask = torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, -1e4)[:, None]
        middle = None
        for i, layer in enumerate(self.layers):
            x = layer(x, mask, rope)
            if i == probe:
                middle = x
        return self.norm(x), middle


class LanguageModel(nn.Module):
    def __init__(self, rows=ROWS, **sizes):
        super().__init__()
        self.model = LlamaBody(rows, **sizes)
        self.lm_head = nn.Linear(HIDDEN, rows, bias=False)


def question_logits(language_model, block, start, asked):
    """Next-token logits (B*K, T) of K questions about each picture, whose start and tokens are `block` (B, 1 + 16, H).

    `start` holds the ids that come before the question (the same for all), asked (B*K, T) the right-padded rest.
    """
    b = len(block)
    each, width = len(asked) // b, len(start)
    body = language_model.model
    x = body.embed_tokens(torch.tensor(start)).expand(b, -1, -1)
    at = start.index(ID[IMAGE_BEG])
    rest = body.embed_tokens(asked).view(b, each * asked.shape[1], HIDDEN)
    x = torch.cat((x[:, :at], block, x[:, at + 1 + TOKENS :], rest), 1)
    length = torch.full((b,), width)
    y = body(x, *layout(torch.ones(b, width, dtype=torch.bool), length, each, asked.shape[1]))[0]
    return language_model.lm_head(y[:, width:].reshape(b * each, asked.shape[1], HIDDEN)).float()


@torch.no_grad()
def greedy(logits, ids, end, longest=14):
    """The ids that follow `ids` until `end`. `logits` gives those of every slot, (1, T, rows), of ids (1, T)."""
    said = []
    while len(said) < longest:
        n = int(logits(torch.tensor([[*ids, *said]]))[0, -1].argmax())
        if n == end:
            break
        said.append(n)
    return said


def layout(visible, length, each, size):
    """Positions (B, T) and allowed attention (B, T, T) of sequences: a right-padded prefix, then `each` blocks of `size` that share it."""
    b, width = visible.shape
    slot = torch.arange(each * size)
    position = torch.cat((torch.arange(width).expand(b, -1), length[:, None] + (slot % size)[None]), 1)
    segment = torch.cat((torch.zeros(width, dtype=torch.long), 1 + slot // size))
    total = torch.arange(width + each * size)
    same = (total[:, None] >= total[None]) & ((segment[None] == 0) | (segment[:, None] == segment[None]))
    shown = torch.cat((visible, torch.ones(b, each * size, dtype=torch.bool)), 1)
    return position, (same[None] & shown[:, None]) | (total[:, None] == total[None])[None]


def pack(rows):
    """Right-padded ids and lengths of prompts of different length."""
    length = torch.tensor([len(r) for r in rows])
    ids = torch.full((len(rows), int(length.max())), ID[PAD])
    for i, r in enumerate(rows):
        ids[i, : len(r)] = torch.tensor(r)
    return ids, length
