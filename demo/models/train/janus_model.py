"""Janus with the published module names and equations, on the tower and the core of the tiny JanusFlow."""
import torch
import torch.nn as nn
import torch.nn.functional as F

import vq
from chance import pick
from llama import HIDDEN, LanguageModel, layout, pack, question_logits
from tokens import ID, IMAGE_BEG, PAD
from tower import TOKENS, VIT, VisionTower

CODES = vq.SIDE * vq.SIDE


class Projector(nn.Module):
    """mlp_gelu of depth 2."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN))

    def forward(self, x):
        return self.layers(x)


class GenHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.output_mlp_projector = nn.Linear(HIDDEN, HIDDEN)
        self.vision_head = nn.Linear(HIDDEN, vq.CODES)

    def forward(self, x):
        return self.vision_head(F.gelu(self.output_mlp_projector(x)))


class Janus(nn.Module):
    """Without gen_vision_model, which is trained apart."""

    def __init__(self):
        super().__init__()
        self.vision_model = nn.ModuleDict(dict(vision_tower=VisionTower()))
        self.aligner = Projector(VIT)
        self.gen_embed = nn.Embedding(vq.CODES, vq.DIM)
        self.gen_aligner = Projector(vq.DIM)
        self.gen_head = GenHead()
        self.language_model = LanguageModel()

    def warm_up(self, flow, features):
        """Takes over tower, core and words of a JanusFlow; the aligner starts as close to its linear one as 160 GELUs allow.

        GELU(x) - GELU(-x) = x, so that pairs of them pass on the directions in which the tower's `features` (N, 96) vary most.
        """
        self.vision_model.load_state_dict(flow.vision_und_enc_model.state_dict())
        self.language_model.load_state_dict(flow.language_model.state_dict())
        linear = flow.vision_und_enc_aligner
        with torch.no_grad():
            self.language_model.model.embed_tokens.weight[ID[IMAGE_BEG]] = flow.beg_of_und_embed[0]
            mean = features.mean(0)
            seen = (features - mean) @ linear.weight.T
            _, s, v = torch.linalg.svd(seen, full_matrices=False)
            half = HIDDEN // 2
            keep = v[:half]  # directions of the aligner's output
            scale = (s[:half] / len(features) ** 0.5).clamp(min=1e-3)[:, None]
            down = keep @ linear.weight / scale
            first, last = self.aligner.layers[0], self.aligner.layers[2]
            first.weight.copy_(torch.cat((down, -down)))
            first.bias.copy_(torch.cat((-down @ mean, down @ mean)))
            last.weight.copy_(torch.cat(((keep * scale).T, -(keep * scale).T), 1))
            last.bias.copy_(linear.bias + linear.weight @ mean)
            nn.init.normal_(self.gen_aligner.layers[0].weight, 0, 0.4)
            nn.init.normal_(self.gen_aligner.layers[2].weight, 0, 0.05)
            nn.init.normal_(self.gen_head.output_mlp_projector.weight, 0, 0.04)
            nn.init.normal_(self.gen_head.vision_head.weight, 0, 0.04)
            nn.init.zeros_(self.gen_head.vision_head.bias)

    def code_logits(self, ids, length, codes):
        """Logits (B, 64, 512) of every code of pictures (B, 64) after prompts (B, W) of `length` tokens, right-padded."""
        b, width = ids.shape
        body = self.language_model.model
        begin = body.embed_tokens.weight[ID[IMAGE_BEG]].expand(b, 1, -1)
        image = torch.cat((begin, self.gen_aligner(self.gen_embed(codes[:, :-1])).float()), 1)
        visible = torch.arange(width)[None] < length[:, None]
        y, _ = body(torch.cat((body.embed_tokens(ids), image), 1), *layout(visible, length, 1, image.shape[1]))
        return self.gen_head(y[:, width:]).float()

    def see(self, pixels):
        """Vision tower tokens (B, 16, 96) of pictures in [-1, 1]."""
        return self.vision_model.vision_tower(pixels)

    def logits(self, features, start, asked):
        """Next-token logits of questions about pictures (`question_logits`)."""
        b = len(features)
        begin = self.language_model.model.embed_tokens.weight[ID[IMAGE_BEG]].expand(b, 1, -1)
        return question_logits(self.language_model, torch.cat((begin, self.aligner(features).float()), 1), start, asked)


def unconditional(ids, length):
    """What guidance takes as no prompt: BOS, then pads that are seen like any word."""
    slot = torch.arange(ids.shape[1])[None]
    return torch.where((slot > 0) & (slot < length[:, None]), ID[PAD], ids)


@torch.no_grad()
def draw_codes(model, rows, seeds, guidance, temperature=1.0):
    """Codes (B, 64) for prompts (drawing_ids), drawn one by one from guided logits with the library's random numbers."""
    ids, length = pack(rows)
    b = len(rows)
    if guidance != 1:
        ids, length = torch.cat((ids, unconditional(ids, length))), length.repeat(2)
    codes = torch.zeros(b, 0, dtype=torch.long)
    for k in range(CODES):
        known = torch.cat((codes, torch.zeros(b, 1, dtype=torch.long)), 1)
        logits = model.code_logits(ids, length, known.repeat(len(ids) // b, 1))[:, -1]
        if guidance != 1:
            logits = logits[b:] + guidance * (logits[:b] - logits[b:])
        codes = torch.cat((codes, pick(logits, seeds, k, temperature)[:, None]), 1)
    return codes


assert TOKENS == 16
