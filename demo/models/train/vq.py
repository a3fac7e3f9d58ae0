"""The picture tokenizer of Janus (VQ-16 of LlamaGen) with the published names: 64x64 pixels <-> 8x8 codes of 512.

The same weights are Chameleon's VQ-GAN (`taming_name`): its attention stands at the lowest level too, and nearest neighbours of a
codebook of unit vectors do not depend on the length of what is looked up.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

CODES, DIM, SIDE = 512, 8, 8
CH, MULT, Z = 32, (1, 1, 1, 2), 64
GROUPS = 32


def norm(c):
    return nn.GroupNorm(GROUPS, c, 1e-6)


def conv(i, o, size=3, stride=1):
    return nn.Conv2d(i, o, size, stride, (size // 2) if stride == 1 else 0)


class ResnetBlock(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.norm1, self.conv1 = norm(i), conv(i, o)
        self.norm2, self.conv2 = norm(o), conv(o, o)
        if i != o:
            self.nin_shortcut = conv(i, o, 1)

    def forward(self, x):
        h = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x) + h


class AttnBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm = norm(c)
        self.q, self.k, self.v, self.proj_out = (conv(c, c, 1) for _ in range(4))

    def forward(self, x):
        b, c, h, w = x.shape
        n = self.norm(x)
        q, k, v = (f(n).flatten(2).transpose(1, 2) for f in (self.q, self.k, self.v))
        y = ((q @ k.transpose(1, 2)) * c**-0.5).softmax(-1, dtype=torch.float32).to(v.dtype) @ v
        return x + self.proj_out(y.transpose(1, 2).reshape(b, c, h, w))


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by attention at the lowest one, then a change of resolution."""

    def __init__(self, i, o, count, attention, change):
        super().__init__()
        self.res = nn.ModuleList(ResnetBlock(i if k == 0 else o, o) for k in range(count))
        self.attn = nn.ModuleList(AttnBlock(o) for _ in range(count if attention else 0))
        if change:
            setattr(self, change, nn.ModuleDict(dict(conv=conv(o, o, stride=2 if change == "downsample" else 1))))

    def forward(self, x):
        for k, res in enumerate(self.res):
            x = res(x)
            if len(self.attn):
                x = self.attn[k](x)
        if hasattr(self, "downsample"):
            x = self.downsample.conv(F.pad(x, (0, 1, 0, 1)))
        if hasattr(self, "upsample"):
            x = self.upsample.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return x


def middle(c):
    return nn.ModuleList([ResnetBlock(c, c), AttnBlock(c), ResnetBlock(c, c)])


class Encoder(nn.Module):
    def __init__(self, blocks=1):
        super().__init__()
        width = [CH * m for m in (1, *MULT)]
        last = len(MULT) - 1
        self.conv_in = conv(3, CH)
        self.conv_blocks = nn.ModuleList(
            Level(width[i], width[i + 1], blocks, i == last, "downsample" if i < last else None) for i in range(len(MULT))
        )
        self.mid = middle(width[-1])
        self.norm_out, self.conv_out = norm(width[-1]), conv(width[-1], Z)

    def forward(self, x):
        for f in (self.conv_in, *self.conv_blocks, *self.mid, self.norm_out, F.silu, self.conv_out):
            x = f(x)
        return x


class Decoder(nn.Module):
    """conv_blocks run from the lowest resolution to the highest."""

    def __init__(self, blocks=2):
        super().__init__()
        width = [CH * m for m in (*MULT, MULT[-1])]
        last = len(MULT) - 1
        self.conv_in = conv(Z, width[-1])
        self.mid = middle(width[-1])
        self.conv_blocks = nn.ModuleList(
            Level(width[i + 1], width[i], blocks, i == last, "upsample" if i > 0 else None) for i in reversed(range(len(MULT)))
        )
        self.norm_out, self.conv_out = norm(width[0]), conv(width[0], 3)

    def forward(self, x):
        for f in (self.conv_in, *self.mid, *self.conv_blocks, self.norm_out, F.silu, self.conv_out):
            x = f(x)
        return x


class VQ(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = Encoder(), Decoder()
        self.quantize = nn.ModuleDict(dict(embedding=nn.Embedding(CODES, DIM)))
        self.quant_conv, self.post_quant_conv = conv(Z, DIM, 1), conv(DIM, Z, 1)

    def codebook(self):
        """Unit vectors (512, 8)."""
        return F.normalize(self.quantize.embedding.weight, dim=-1)

    def similarity(self, x):
        """Cosines (B, 64, 512) between the cells of pictures in [-1, 1] and the codebook."""
        z = self.quant_conv(self.encoder(x)).float().flatten(2).transpose(1, 2)
        return F.normalize(z, dim=-1) @ self.codebook().T

    def encode(self, x):
        """Codes (B, 64), row by row."""
        return self.similarity(x).argmax(-1)

    def decode(self, codes):
        """Picture tensor (B, 3, 64, 64) of codes (B, 64)."""
        z = F.embedding(codes, self.codebook()).view(-1, SIDE, SIDE, DIM).permute(0, 3, 1, 2)
        return self.decoder(self.post_quant_conv(z.contiguous(memory_format=torch.channels_last)))


def taming_name(name):
    """The name of a tensor in Chameleon's (taming's) layout."""
    parts = name.split(".")
    if len(parts) > 2 and parts[1] == "mid":
        parts[2] = ("block_1", "attn_1", "block_2")[int(parts[2])]
    if parts[1:2] == ["conv_blocks"]:
        parts[1] = "down" if parts[0] == "encoder" else "up"
        if parts[0] == "decoder":
            parts[2] = str(len(MULT) - 1 - int(parts[2]))
        parts[3] = "block" if parts[3] == "res" else parts[3]
    return ".".join(parts)
