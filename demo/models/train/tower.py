"""The vision tower of Janus and JanusFlow: SigLIP's transformer under timm's names."""
import torch
import torch.nn as nn
import torch.nn.functional as F

VIT, VIT_LAYERS, VIT_HEADS, VIT_RATIO = 96, 3, 3, 4
PATCH, SIDE = 16, 4  # understanding patch; side of both token grids
TOKENS = SIDE * SIDE
EPS = 1e-6


def attend(q, k, v, bias):
    """Attention with an additive bias; written out because the fused kernel's backward is slow on CPUs."""
    a = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (a if bias is None else a + bias).softmax(-1, dtype=torch.float32).to(v.dtype) @ v


class VitAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(VIT, 3 * VIT)
        self.proj = nn.Linear(VIT, VIT)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, VIT_HEADS, -1).permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v, None).transpose(1, 2).reshape(b, t, VIT))


class VitBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(VIT, EPS)
        self.attn = VitAttention()
        self.norm2 = nn.LayerNorm(VIT, EPS)
        self.mlp = nn.ModuleDict(dict(fc1=nn.Linear(VIT, VIT_RATIO * VIT), fc2=nn.Linear(VIT_RATIO * VIT, VIT)))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp.fc2(F.gelu(self.mlp.fc1(self.norm2(x))))


class VisionTower(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch_embed = nn.ModuleDict(dict(proj=nn.Conv2d(3, VIT, PATCH, PATCH)))
        self.pos_embed = nn.Parameter(torch.randn(1, TOKENS, VIT) * 0.02)
        self.blocks = nn.ModuleList(VitBlock() for _ in range(VIT_LAYERS))
        self.norm = nn.LayerNorm(VIT, EPS)

    def forward(self, x):
        b = x.shape[0]
        x = x.view(b, 3, SIDE, PATCH, SIDE, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(b, TOKENS, -1)
        proj = self.patch_embed.proj
        x = F.linear(x, proj.weight.flatten(1), proj.bias).float() + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
