"""Nexus-Gen's decoders: FLUX's transformer under DiffSynth's names, and what makes context of embeddings (adapter, or merger for edits)."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from llama import HIDDEN, LlamaLayer, RMSNorm, rope_of
from nexus_model import AXIS, GRID
from shrink import INNER
from tower import SIDE, TOKENS, attend

WIDTH, HEADS, LAYERS, SINGLE, CONTEXT, POOLED, CHANNELS = 64, 2, 1, 1, 64, 32, 4
AXES = (8, 12, 12)  # channels of a head that kind, row and column rotate
WAVES, STEER = 256, 3504.0  # the guidance that FLUX was distilled with, as its sinusoids get it
FEATURES = CHANNELS * 4


def cut(x):
    """Latents (B, 4, 8, 8) -> patches (B, 16, 16), the channel slowest."""
    b = len(x)
    return x.view(b, CHANNELS, SIDE, 2, SIDE, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, TOKENS, FEATURES)


def joined(x):
    """The inverse of `cut`."""
    b = len(x)
    return x.view(b, SIDE, SIDE, CHANNELS, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, CHANNELS, 2 * SIDE, 2 * SIDE)


def waves(t):
    half = WAVES // 2
    a = t.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
    return torch.cat((a.cos(), a.sin()), -1)


def two(width):
    return nn.ModuleDict({"0": nn.Linear(width, WIDTH), "2": nn.Linear(WIDTH, WIDTH)})


def apply_two(layers, x):
    return layers["2"](F.silu(layers["0"](x)))


class Modulation(nn.Module):
    """What a block is told about the time, in `parts` (B, 1, WIDTH)."""

    def __init__(self, parts):
        super().__init__()
        self.parts, self.linear = parts, nn.Linear(WIDTH, parts * WIDTH)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, steer):
        return self.linear(F.silu(steer)).float()[:, None].chunk(self.parts, -1)


def modulated(x, shift, scale):
    return F.layer_norm(x.float(), (WIDTH,), eps=1e-6) * (1 + scale) + shift


def split_heads(qkv, norm_q, norm_k):
    b, t, _ = qkv.shape
    q, k, v = qkv.view(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    return norm_q(q.float()), norm_k(k.float()), v


def attention(q, k, v, rope):
    """Joint attention with FLUX's rope, which turns neighbouring channels; (B, T, WIDTH)."""
    cos, sin = rope

    def turn(x):
        p, q = x[..., 0::2], x[..., 1::2]
        return torch.stack((p * cos - q * sin, q * cos + p * sin), -1).flatten(-2).to(v.dtype)

    return attend(turn(q), turn(k), v, None).transpose(1, 2).flatten(2)


class HeadNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH // HEADS))

    def forward(self, x):
        return F.rms_norm(x, x.shape[-1:], self.weight, 1e-6)


class JointAttention(nn.Module):
    def __init__(self):
        super().__init__()
        for s in "ab":
            setattr(self, s + "_to_qkv", nn.Linear(WIDTH, 3 * WIDTH))
            setattr(self, s + "_to_out", nn.Linear(WIDTH, WIDTH))
            setattr(self, "norm_q_" + s, HeadNorm())
            setattr(self, "norm_k_" + s, HeadNorm())

    def forward(self, a, b, rope):
        """Picture and context, modulated -> what each gets."""
        own, other = (split_heads(getattr(self, s + "_to_qkv")(x), getattr(self, "norm_q_" + s), getattr(self, "norm_k_" + s)) for s, x in (("a", a), ("b", b)))
        y = attention(*(torch.cat((o, p), 2) for o, p in zip(other, own)), rope)
        return self.a_to_out(y[:, b.shape[1] :]), self.b_to_out(y[:, : b.shape[1]])


def feed_forward():
    return nn.ModuleDict({"0": nn.Linear(WIDTH, 4 * WIDTH), "2": nn.Linear(4 * WIDTH, WIDTH)})


class DoubleBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1_a, self.norm1_b, self.attn = Modulation(6), Modulation(6), JointAttention()
        self.ff_a, self.ff_b = feed_forward(), feed_forward()

    def forward(self, a, b, steer, rope):
        parts = self.norm1_a(steer), self.norm1_b(steer)
        out = self.attn(*(modulated(x, p[0], p[1]) for x, p in zip((a, b), parts)), rope)
        result = []
        for x, y, p, ff in zip((a, b), out, parts, (self.ff_a, self.ff_b)):
            x = x + y * p[2]
            result.append(x + ff["2"](F.gelu(ff["0"](modulated(x, p[3], p[4])), approximate="tanh")) * p[5])
        return result


class SingleBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = Modulation(3)
        self.to_qkv_mlp, self.proj_out = nn.Linear(WIDTH, 7 * WIDTH), nn.Linear(5 * WIDTH, WIDTH)
        self.norm_q_a, self.norm_k_a = HeadNorm(), HeadNorm()

    def forward(self, x, steer, rope):
        shift, scale, gate = self.norm(steer)
        qkv, mlp = self.to_qkv_mlp(modulated(x, shift, scale)).split((3 * WIDTH, 4 * WIDTH), -1)
        y = attention(*split_heads(qkv, self.norm_q_a, self.norm_k_a), rope)
        return x + self.proj_out(torch.cat((y, F.gelu(mlp, approximate="tanh")), -1)) * gate


class Dit(nn.Module):
    """FLUX, told where its context stands: `spots` (N, 3) of N context tokens, or none for the decoder of drawings."""

    def __init__(self):
        super().__init__()
        self.time_embedder, self.guidance_embedder = (nn.ModuleDict(dict(timestep_embedder=two(WAVES))) for _ in range(2))
        self.pooled_text_embedder = two(POOLED)
        self.context_embedder, self.x_embedder = nn.Linear(CONTEXT, WIDTH), nn.Linear(FEATURES, WIDTH)
        self.blocks = nn.ModuleList(DoubleBlock() for _ in range(LAYERS))
        self.single_blocks = nn.ModuleList(SingleBlock() for _ in range(SINGLE))
        self.final_norm_out, self.final_proj_out = Modulation(2), nn.Linear(WIDTH, FEATURES)
        nn.init.zeros_(self.final_proj_out.weight)

    def forward(self, x, sigma, context, pooled, spots=None):
        """Velocity (noise minus data) of latents (B, 4, 8, 8) at sigmas (B)."""
        steer = apply_two(self.time_embedder.timestep_embedder, waves(1000 * sigma)) + apply_two(self.guidance_embedder.timestep_embedder, waves(torch.tensor([STEER])))
        steer = steer + apply_two(self.pooled_text_embedder, pooled[None])
        spots = torch.zeros(context.shape[1], 3) if spots is None else spots
        at = torch.cat((spots, GRID.float()))
        angles = torch.cat([at[:, i : i + 1] * 10000.0 ** (-torch.arange(n // 2) * 2 / n) for i, n in enumerate(AXES)], 1)
        rope = angles.cos(), angles.sin()
        a, b = self.x_embedder(cut(x)).float(), self.context_embedder(context).float()
        for block in self.blocks:
            a, b = block(a, b, steer, rope)
        y = torch.cat((b, a), 1)
        for block in self.single_blocks:
            y = block(y, steer, rope)
        scale, shift = self.final_norm_out(steer)
        return joined(self.final_proj_out(modulated(y[:, b.shape[1] :], shift, scale)).float())


class Adapter(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(HIDDEN, CONTEXT), nn.LayerNorm(CONTEXT), nn.ReLU(), nn.Linear(CONTEXT, CONTEXT), nn.LayerNorm(CONTEXT))


class Merger(nn.Module):
    """Embeddings of the drawn picture and tokens of the edited one, (B, 16, HIDDEN) each -> context (B, 32, CONTEXT)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([LlamaLayer(INNER, bias=True)])
        self.projector = nn.ModuleDict(
            {"0": RMSNorm(HIDDEN), "1": nn.Linear(HIDDEN, CONTEXT), "2": RMSNorm(CONTEXT), "4": nn.Linear(CONTEXT, CONTEXT), "5": RMSNorm(CONTEXT)}
        )

    def forward(self, drawn, source):
        at = torch.cat((GRID, GRID))[None]
        x = self.layers[0](torch.cat((drawn, source), 1), None, rope_of(at[..., AXIS]))
        p = self.projector
        return p["5"](p["4"](F.silu(p["2"](p["1"](p["0"](x)).float()))).float())


SPOTS = torch.cat((GRID, GRID + torch.tensor([1, 0, 0]))).float()


class Decoder(nn.Module):
    """One of the two files: `adapter` and `dit`, or `merger` and `dit`. What it gets for no prompt is a constant of both."""

    def __init__(self, edits):
        super().__init__()
        self.dit, self.edits = Dit(), edits
        if edits:
            self.embedding_merger = Merger()
        else:
            self.adapter = Adapter()
        noise = torch.Generator().manual_seed(9)
        self.register_buffer("pooled", torch.randn(POOLED, generator=noise).bfloat16().float())
        self.register_buffer("negative", torch.randn(TOKENS, CONTEXT, generator=noise).bfloat16().float())

    def context(self, drawn, source=None):
        return self.embedding_merger(drawn, source) if self.edits else self.adapter(drawn)

    def velocity(self, x, sigma, context):
        return self.dit(x, sigma, context, self.pooled, SPOTS if self.edits else None)


def sigmas(steps):
    """From 1 to 0, bent towards noise."""
    even = torch.linspace(1, 0.003 / 1.002, steps)
    return torch.cat((3 * even / (1 + 2 * even), torch.zeros(1)))


@torch.no_grad()
def paint(decoder, drawn, source, noise, steps):
    """Flow latents by Euler's rule, without guidance."""
    context, x, at = decoder.context(drawn, source), noise, sigmas(steps)
    for k in range(steps):
        x = x + (at[k + 1] - at[k]) * decoder.velocity(x, at[k].expand(len(x)), context)
    return x


def published(state):
    """The tensors of generation_decoder.bin or edit_decoder.bin."""
    return {("pipe." + k if k.startswith("dit.") else k): v for k, v in state.items() if k not in ("pooled", "negative")}
