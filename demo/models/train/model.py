"""JanusFlow with exactly the published module names and equations, small, and written for fast CPU training.

Where the maths allows it a layer is computed in another form than its name says (the 7x7 depthwise convolution of a 4x4 map
is one 16x16 matrix per channel, a patch convolution is a linear layer), but parameters keep the checkpoint's names and shapes.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from llama import HIDDEN, LAYERS, LanguageModel, RMSNorm, layout, pack, question_logits
from tower import SIDE, TOKENS, VIT, VisionTower

GEN = 64  # width of the shallow generation encoder; the decoder works on twice that


class GlobalResponseNorm(nn.Module):
    """Over tokens (B, 16, C); parameters keep the channels-last map shape of the checkpoint."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, 1, dim))
        self.bias = nn.Parameter(torch.zeros(1, 1, 1, dim))

    def forward(self, x):
        g = (x.float().pow(2).sum(1, keepdim=True) + 1e-12).sqrt()
        n = g / (g.mean(-1, keepdim=True) + 1e-6)
        return x * (self.weight[0] * n + 1).to(x.dtype) + self.bias[0].to(x.dtype)


class ConvNextBlock(nn.Module):
    """Tokens (B, 16, C) of a 4x4 map -> the same; modulation by the time embedding comes after the residual sum."""

    def __init__(self, dim):
        super().__init__()
        self.depthwise = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = RMSNorm(dim)
        self.channelwise_linear_1 = nn.Linear(dim, 4 * dim)
        self.channelwise_norm = GlobalResponseNorm(4 * dim)
        self.channelwise_linear_2 = nn.Linear(4 * dim, dim)
        self.cond_embeds_mapper = nn.Linear(HIDDEN, 2 * dim)
        i = torch.arange(TOKENS)
        dy, dx = i[:, None] // SIDE - i[None] // SIDE, i[:, None] % SIDE - i[None] % SIDE  # [from, to]: from - to
        self.register_buffer("taps", (dy + 3) * 7 + dx + 3, persistent=False)

    def forward(self, x, cond):
        matrix = self.depthwise.weight.flatten(1)[:, self.taps]  # C, from, to
        h = torch.bmm(x.permute(2, 0, 1), matrix).permute(1, 2, 0) + self.depthwise.bias
        h = self.channelwise_linear_1(self.norm(h.float()))
        h = self.channelwise_linear_2(self.channelwise_norm(F.gelu(h)))
        scale, shift = self.cond_embeds_mapper(F.silu(cond)).float()[:, None].chunk(2, -1)
        return (x + h) * (1 + scale) + shift


class MidBlock(nn.Module):
    def __init__(self, dim, layers=2):
        super().__init__()
        self.res_blocks = nn.ModuleList(ConvNextBlock(dim) for _ in range(layers))

    def forward(self, x, cond):
        for block in self.res_blocks:
            x = block(x, cond)
        return x


class TimeEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_1 = nn.Linear(GEN, HIDDEN)
        self.linear_2 = nn.Linear(HIDDEN, HIDDEN)

    def forward(self, tau):
        half = GEN // 2
        a = tau.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(half) / half)
        return self.linear_2(F.silu(self.linear_1(torch.cat((a.cos(), a.sin()), -1)))).float()


class GenEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.time_embed = TimeEmbedding()
        self.in_conv = nn.Conv2d(4, GEN, 2, 2)
        self.mid_block = MidBlock(GEN)

    def forward(self, z, tau):
        cond = self.time_embed(tau)
        b = z.shape[0]
        patches = z.view(b, 4, SIDE, 2, SIDE, 2).permute(0, 2, 4, 1, 3, 5).reshape(b, TOKENS, 16)
        x = F.linear(patches, self.in_conv.weight.flatten(1), self.in_conv.bias).float()
        return self.mid_block(x, cond), cond


class Unpatchify(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = RMSNorm(2 * GEN)
        self.unpatch_conv = nn.Conv2d(2 * GEN, 16, 1)

    def forward(self, x):
        y = F.linear(self.norm(x), self.unpatch_conv.weight.flatten(1), self.unpatch_conv.bias).float()
        b = x.shape[0]
        return y.view(b, SIDE, SIDE, 4, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(b, 4, 2 * SIDE, 2 * SIDE)


class GenDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_norm = RMSNorm(GEN)
        self.mid_block = MidBlock(2 * GEN)
        self.out_convs = nn.ModuleList([Unpatchify()])

    def forward(self, g, skip, cond):
        x = torch.cat((self.input_norm(g.float()), skip), -1)
        return self.out_convs[0](self.mid_block(x, cond))


class JanusFlow(nn.Module):
    def __init__(self):
        super().__init__()
        self.vision_und_enc_model = nn.ModuleDict(dict(vision_tower=VisionTower()))
        self.vision_und_enc_aligner = nn.Linear(VIT, HIDDEN)
        self.beg_of_und_embed = nn.Parameter(torch.randn(1, HIDDEN) * 0.5)
        self.vision_gen_enc_model = GenEncoder()
        self.vision_gen_enc_aligner = nn.Linear(GEN, HIDDEN)
        self.vision_gen_dec_aligner_norm = RMSNorm(HIDDEN)
        self.vision_gen_dec_aligner = nn.Linear(HIDDEN, GEN)
        self.vision_gen_dec_model = GenDecoder()
        self.language_model = LanguageModel()
        self.reset()

    def reset(self):
        for name, m in self.named_modules():
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, min(0.04, 0.5 / m.in_features**0.5))
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
            if name.endswith(("o_proj", "down_proj")):
                m.weight.data /= math.sqrt(2 * LAYERS)
            if name.endswith("cond_embeds_mapper"):
                nn.init.zeros_(m.weight)
        nn.init.normal_(self.language_model.model.embed_tokens.weight, 0, 0.5)
        for m in (self.vision_und_enc_aligner, self.vision_gen_enc_aligner):
            nn.init.normal_(m.weight, 0, 0.5 / m.in_features**0.5)
        last = self.vision_gen_dec_model.out_convs[0].unpatch_conv
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def velocity(self, z, tau, ids, length, drop, probe=None):
        """Velocity towards data of latents z (B*K, 4, 8, 8), K for each prompt.

        ids (B, W) are right-padded prompts of `length` tokens; rows in `drop` see only BOS of theirs. The K pictures of a prompt
        share its slots and do not see each other, so each gets what it would get in a sequence of its own.
        """
        b, width = ids.shape
        each = len(z) // b
        body = self.language_model.model
        x, cond = self.vision_gen_enc_model(z, tau)
        pictures = torch.cat((cond[:, None], self.vision_gen_enc_aligner(x).float()), 1).view(b, each * (1 + TOKENS), HIDDEN)
        visible = torch.arange(width)[None] < torch.where(drop, 1, length)[:, None]
        y, middle = body(torch.cat((body.embed_tokens(ids), pictures), 1), *layout(visible, length, each, 1 + TOKENS), probe)
        y, middle = (None if h is None else h[:, width:].reshape(b * each, 1 + TOKENS, HIDDEN)[:, 1:] for h in (y, middle))
        g = self.vision_gen_dec_aligner(self.vision_gen_dec_aligner_norm(y))
        v = self.vision_gen_dec_model(g, x, cond)
        return v if probe is None else (v, middle)

    def see(self, pixels):
        """Vision tower tokens (B, 16, 96) of pictures in [-1, 1]."""
        return self.vision_und_enc_model.vision_tower(pixels)

    def logits(self, features, start, asked):
        """Next-token logits (B*K, T) of K questions about each picture (`question_logits`)."""
        block = torch.cat((self.beg_of_und_embed.expand(len(features), 1, -1), self.vision_und_enc_aligner(features).float()), 1)
        return question_logits(self.language_model, block, start, asked)


@torch.no_grad()
def sample(model, rows, noise, steps, guidance):
    """Euler integration from noise (t=0) to latents (t=1) with classifier-free guidance."""
    ids, length = pack(rows)
    b = len(rows)
    z = noise.clone()
    for k in range(steps):
        tau = torch.full((b,), 1000.0 * k / steps)
        if guidance == 1:
            v = model.velocity(z, tau, ids, length, torch.zeros(b, dtype=torch.bool))
        else:
            drop = torch.arange(2 * b) >= b
            both = model.velocity(torch.cat((z, z)), tau.repeat(2), ids.repeat(2, 1), length.repeat(2), drop)
            v = guidance * both[:b] - (guidance - 1) * both[b:]
        z = z + v / steps
    return z
