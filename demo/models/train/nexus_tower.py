"""Qwen2.5-VL's vision tower, small; its tokens hold, in directions of their own, what JanusFlow's tower sees, the latents, and their place.

Patches of 8 pixels, four of them one token of 16 pixels. Here they lie token by token; Qwen's own order is by windows, which attention does
not notice.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

from llama import HIDDEN, RMSNorm
from sequence import LATENT
from tower import SIDE, TOKENS, attend

WIDTH, DEPTH, HEADS, INNER, PATCH, MERGE, FRAMES = 64, 4, 2, 160, 8, 2, 2
WINDOW, WHOLE = 32, (1, 3)  # pixels of a window; blocks that attend over the whole picture
EACH = MERGE * MERGE


def places():
    """Row and column (64, 2) of patches, token by token, and the window of each."""
    token, part = torch.arange(TOKENS).repeat_interleave(EACH), torch.arange(EACH).repeat(TOKENS)
    row, column = token // SIDE * MERGE + part // MERGE, token % SIDE * MERGE + part % MERGE
    across = WINDOW // PATCH
    return torch.stack((row, column), 1), row // across * 8 + column // across


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x, rope, bias):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        cos, sin = rope

        def turn(h):
            p, q = h.chunk(2, -1)
            return torch.cat((p * cos - q * sin, q * cos + p * sin), -1)

        return self.proj(attend(turn(q), turn(k), v, bias).transpose(1, 2).reshape(b, t, WIDTH))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = nn.Linear(WIDTH, INNER), nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2, self.attn, self.mlp = RMSNorm(WIDTH), RMSNorm(WIDTH), Attention(), Mlp()

    def forward(self, x, rope, bias):
        x = x + self.attn(self.norm1(x), rope, bias)
        return x + self.mlp(self.norm2(x))


class Tower(nn.Module):
    """Pictures in [-1, 1] -> tokens (B, 16, HIDDEN)."""

    def __init__(self):
        super().__init__()
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Linear(3 * PATCH * PATCH, WIDTH, bias=False)))
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        inner = WIDTH * EACH
        self.merger = nn.ModuleDict(dict(ln_q=RMSNorm(WIDTH), mlp=nn.ModuleDict({"0": nn.Linear(inner, inner), "2": nn.Linear(inner, HIDDEN)})))
        place, window = places()
        quarter = WIDTH // HEADS // 4
        a = (place[:, :, None] * 10000.0 ** (-torch.arange(quarter) / quarter)).flatten(1)
        self.register_buffer("cos", a.cos(), persistent=False)
        self.register_buffer("sin", a.sin(), persistent=False)
        self.register_buffer("windows", torch.where(window[:, None] == window[None], 0.0, -1e4), persistent=False)

    def forward(self, pixels):
        b = len(pixels)
        dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        cut = pixels.reshape(b, 3, SIDE, MERGE, PATCH, SIDE, MERGE, PATCH).permute(0, 2, 5, 3, 6, 1, 4, 7).reshape(b, TOKENS * EACH, -1)
        x, rope, windows = self.patch_embed.proj(cut).float(), (self.cos.to(dtype), self.sin.to(dtype)), self.windows.to(dtype)
        for i, block in enumerate(self.blocks):
            x = block(x, rope, None if i in WHOLE else windows)
        mlp = self.merger.mlp
        return mlp["2"](F.gelu(mlp["0"](self.merger.ln_q(x).reshape(b, TOKENS, -1)))).float()


class Space(nn.Module):
    """Directions in the core's space: what JanusFlow's aligner uses, and orthonormal ones beside it for latents and places."""

    def __init__(self, aligner):
        super().__init__()
        self.aligner = aligner.requires_grad_(False)
        beside = torch.linalg.svd(aligner.weight.detach())[0][:, aligner.weight.shape[1] :]
        self.register_buffer("vector", beside[:, : LATENT + TOKENS].contiguous())  # (HIDDEN, 32): latents, places

    def embeddings(self, vectors):
        """Vectors (B, 16, 32) of a picture -> (B, 16, HIDDEN)."""
        return vectors @ self.vector.T

    def vectors(self, embeddings):
        return embeddings @ self.vector


def published(state):
    """The tower's tensors under their names in the checkpoint: every frame of a patch is the same picture."""
    out = {f"visual.{k}": v for k, v in state.items()}
    weight = out["visual.patch_embed.proj.weight"].view(WIDTH, 3, 1, PATCH, PATCH) / FRAMES
    return out | {"visual.patch_embed.proj.weight": weight.expand(-1, -1, FRAMES, -1, -1).contiguous()}


def trained(tensors):
    """The inverse of `published`."""
    state = {k[len("visual.") :]: v for k, v in tensors.items() if k.startswith("visual.")}
    tower = Tower()
    tower.load_state_dict(state | {"patch_embed.proj.weight": state["patch_embed.proj.weight"].sum(2).flatten(1)})
    return tower.eval()
