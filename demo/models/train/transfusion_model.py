"""transfusion-pytorch's `Transfusion` (0.20) with its parameter names and equations, written for fast CPU training.

A batch is one layout for all of its sequences (`Sequence`): slots of text and spans of latents at the same places. Time conditioning is
computed once a span, not once a token, and several noise levels of a picture share what comes before it.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

import transfusion_tokens as T
from sequence import LATENT, SIDE, TOKENS

DIM, DEPTH, HEADS, HEAD, EXPANSION = 128, 5, 4, 32, 4
SOFTCAP = 50.0


def unit(x):
    """x / |x| * sqrt(dim); the library's epsilon (1e-12 on the length) is too small to matter."""
    return F.rms_norm(x.float(), x.shape[-1:], None, 1e-12)


class RMSNorm(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(dim))

    def forward(self, x):
        return unit(x) * (self.gamma + 1)


class Fourier(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weights", torch.randn(DIM // 2, generator=torch.Generator().manual_seed(0)))

    def forward(self, t):
        a = 2 * math.pi * t[:, None] * self.weights
        return torch.cat((t[:, None], a.sin(), a.cos()), -1)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        inner = HEADS * HEAD
        self.to_qk = nn.ModuleList([nn.Linear(DIM, 2 * inner, bias=False)])
        self.q_norm, self.k_norm = RMSNorm(HEAD), RMSNorm(HEAD)
        self.to_v = nn.ModuleList([nn.Linear(DIM, inner, bias=False)])
        self.to_gates = nn.ModuleList([nn.Linear(DIM, HEADS, bias=False)])
        self.to_out = nn.ModuleDict({"1": nn.Linear(inner, DIM, bias=False)})

    def forward(self, x, context):
        mask, cos, sin = context
        b, t, _ = x.shape
        weights = (self.to_qk[0].weight, self.to_v[0].weight, self.to_gates[0].weight)
        qk, v, gates = F.linear(x, torch.cat(weights)).split([w.shape[0] for w in weights], -1)
        qk = qk.view(b, t, 2, HEADS, HEAD).permute(2, 0, 3, 1, 4)
        gain = torch.stack((self.q_norm.gamma, self.k_norm.gamma))[:, None, None, None] + 1
        qk = (unit(qk) * gain).unflatten(-1, (-1, 2))
        even, odd = qk[..., 0], qk[..., 1]
        q, k = torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2).to(v.dtype)
        a = SOFTCAP * torch.tanh((q @ k.transpose(-1, -2)).float() * (HEAD**-0.5 / SOFTCAP)) + mask
        y = a.softmax(-1).to(v.dtype) @ v.view(b, t, HEADS, HEAD).transpose(1, 2)
        y = y * gates.sigmoid().transpose(1, 2)[..., None]
        return self.to_out["1"](y.transpose(1, 2).reshape(b, t, -1))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        inner = int(DIM * EXPANSION * 2 / 3)
        self.net = nn.ModuleDict({"0": nn.Linear(DIM, 2 * inner), "3": nn.Linear(inner, DIM)})

    def forward(self, x, _):
        x, gate = self.net["0"](x).chunk(2, -1)
        return self.net["3"](F.gelu(gate) * x)


class Wrapper(nn.Module):
    """Plain norm and scale for text; for latents, those that a span's time commands."""

    def __init__(self, fn):
        super().__init__()
        self.fn = fn
        self.layernorm_gamma, self.layerscale = nn.Parameter(torch.zeros(DIM)), nn.Parameter(torch.zeros(DIM))
        self.to_film, self.to_ada_ln_zero = nn.Linear(4 * DIM, 2 * DIM), nn.Linear(4 * DIM, DIM)
        nn.init.zeros_(self.to_film.weight)
        nn.init.zeros_(self.to_film.bias)
        nn.init.zeros_(self.to_ada_ln_zero.weight)
        nn.init.constant_(self.to_ada_ln_zero.bias, -2)

    def forward(self, x, spans, cond, context):
        """spans: where each starts; cond (B, len(spans), 4 DIM)."""
        n = F.layer_norm(x.float(), (DIM,))
        if not spans:
            return self.fn(n * (self.layernorm_gamma + 1), context).float() * (self.layerscale + 1)
        gamma, beta = self.to_film(cond).float().chunk(2, -1)
        gate = self.to_ada_ln_zero(cond).float().sigmoid()
        x = per_part(n, spans, lambda h: h * (self.layernorm_gamma + 1), lambda h, i: torch.addcmul(beta[:, i : i + 1], h, gamma[:, i : i + 1] + 1))
        y = self.fn(x, context).float()
        return per_part(y, spans, lambda h: h * (self.layerscale + 1), lambda h, i: h * gate[:, i : i + 1])


def per_part(x, spans, text, picture):
    """x (B, T, DIM) with `text(slots)` done to text and `picture(slots, i)` to span i."""
    parts, at = [], 0
    for i, start in enumerate(spans):
        if start > at:
            parts.append(text(x[:, at:start]))
        parts.append(picture(x[:, start : start + TOKENS], i))
        at = start + TOKENS
    if x.shape[1] > at:
        parts.append(text(x[:, at:]))
    return torch.cat(parts, 1)


class Residual(nn.Module):
    """A softmax over everything the layers have said so far."""

    def __init__(self):
        super().__init__()
        self.norm_keys = RMSNorm(DIM)
        self.pseudo_queries = nn.Parameter(torch.randn(DIM) * 0.02)

    def forward(self, hidden):
        query = self.pseudo_queries * (self.norm_keys.gamma + 1) * DIM**-0.5
        weights = torch.stack([unit(h) @ query for h in hidden], -1).softmax(-1)
        out = hidden[0] * weights[..., :1]
        for i, h in enumerate(hidden[1:], 1):
            out = torch.addcmul(out, h, weights[..., i : i + 1])
        return out


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.to_time_cond = nn.Sequential(Fourier(), nn.Linear(DIM + 1, 4 * DIM), nn.SiLU())
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    **({"0": nn.Linear(2 * DIM, DIM, bias=False)} if i >= DEPTH / 2 else {}),
                    "1": Wrapper(Attention()), "2": Wrapper(FeedForward()), "3": Residual(),
                }
            )
            for i in range(DEPTH)
        )
        self.norm = RMSNorm(DIM)

    def forward(self, x, times, spans, position, allowed, probe=None):
        """x (B, T, DIM), times (B, spans): normalised states, and the raw ones after layer `probe`."""
        b = len(x)
        cond = self.to_time_cond(times.flatten()).view(b, len(spans), -1) if spans else None
        angle = position[:, None, :, None] * 10000.0 ** (-torch.arange(0, HEAD, 2) / HEAD)
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, -1e4)[:, None]
        context = (mask, angle.cos(), angle.sin())
        hidden, skips, middle = [x], [], None
        for i, layer in enumerate(self.layers):
            if i + 1 <= DEPTH // 2:
                skips.append(x)
            elif "0" in layer:
                x = layer["0"](torch.cat((x, skips.pop()), -1)).float() + x
            x = layer["1"](x, spans, cond, context) + x
            x = layer["2"](x, spans, cond, context) + x
            hidden.append(x)
            x = layer["3"](hidden)
            if i == probe:
                middle = x
        return self.norm(x), middle


class AxialMlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.Linear(1, 2 * DIM), nn.SiLU(), nn.Linear(2 * DIM, 2 * DIM), nn.SiLU(), nn.Linear(2 * DIM, DIM)) for _ in range(2)
        )

    def forward(self):
        """(64, DIM), row by row."""
        rows, columns = (m(torch.arange(SIDE).float()[:, None]).float() for m in self.mlps)
        return (rows[:, None] + columns[None]).view(TOKENS, DIM)


class Transfusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.transformer = Transformer()
        self.pos_emb_mlp = nn.ModuleList([AxialMlp()])
        self.latent_to_model_projs = nn.ModuleList([nn.Linear(LATENT, DIM)])
        self.model_to_latent_projs = nn.ModuleList([nn.Linear(DIM, LATENT, bias=False)])
        self.rotary_emb = nn.Module()
        self.rotary_emb.freqs = nn.Parameter(10000.0 ** (-torch.arange(0, HEAD, 2) / HEAD), requires_grad=False)
        self.text_embed = nn.Embedding(T.ROWS, DIM)
        self.to_text_logits = nn.Linear(DIM, T.ROWS, bias=False)
        for name, m in self.named_modules():
            if isinstance(m, nn.Linear) and "to_film" not in name and "to_ada" not in name and "mlps" not in name:
                nn.init.normal_(m.weight, 0, 0.6 / m.in_features**0.5)
        nn.init.normal_(self.text_embed.weight, 0, 0.5)
        nn.init.zeros_(self.model_to_latent_projs[0].weight)

    def picture(self, z):
        """Patches (B, 16, 16) as slots (B, 16, DIM)."""
        return self.latent_to_model_projs[0](z).float() + self.pos_emb_mlp[0]()

    def forward(self, sequence, probe=None):
        """Normalised slots (B, T, DIM) of a `Sequence`, and the raw ones after layer `probe`."""
        parts = [self.text_embed(x) if kind == "text" else self.picture(x) for kind, x in sequence.parts]
        times = torch.stack(sequence.times, 1) if sequence.times else None
        return self.transformer(torch.cat(parts, 1), times, sequence.spans, *sequence.layout(), probe)

    def velocity(self, y):
        """Slots (B, 16, DIM) -> patches (B, 16, 16)."""
        return self.model_to_latent_projs[0](y).float()

    def logits(self, y):
        return self.to_text_logits(y).float()
