"""GroupNorm on channels-last maps, written out: torch's own backward is slow there on CPUs (half a training step of an autoencoder)."""
import contextlib

import torch
import torch.nn as nn

PLAIN = nn.GroupNorm.forward


def fast(norm, x):
    """The same values as GroupNorm's own forward, up to rounding."""
    if x.dim() == 3:
        return PLAIN(norm, x)
    b, c, h, w = x.shape
    g = norm.num_groups
    flat = x.permute(0, 2, 3, 1).reshape(b, h * w, c)
    n = h * w * c // g
    mean = flat.float().sum(1).view(b, g, -1).sum(-1) / n
    square = (flat * flat).float().sum(1).view(b, g, -1).sum(-1) / n
    scale = torch.rsqrt((square - mean * mean).clamp(min=0) + norm.eps).repeat_interleave(c // g, 1) * norm.weight
    shift = norm.bias - mean.repeat_interleave(c // g, 1) * scale
    y = torch.addcmul(shift[:, None].to(x.dtype), flat, scale[:, None].to(x.dtype))
    return y.view(b, h, w, c).permute(0, 3, 1, 2)


@contextlib.contextmanager
def fast_group_norm():
    """Every GroupNorm inside takes the fast way."""
    nn.GroupNorm.forward = fast
    try:
        yield
    finally:
        nn.GroupNorm.forward = PLAIN
