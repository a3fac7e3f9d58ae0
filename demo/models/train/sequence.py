"""Batches of sequences of text and pictures for models that draw by flow: what stands where, and who sees whom."""
import torch

PATCH, SIDE = 2, 4  # a slot holds 2x2 cells of the 8x8 latents of 4 channels
LATENT = 4 * PATCH * PATCH
TOKENS = SIDE * SIDE


def patches(z):
    """Latents (B, 4, 8, 8) -> (B, 16, 16): cells row by row, in each the 2x2 rows, columns, then channels."""
    b = len(z)
    return z.view(b, 4, SIDE, PATCH, SIDE, PATCH).permute(0, 2, 4, 3, 5, 1).reshape(b, TOKENS, LATENT)


def latents(x):
    """The inverse of `patches`."""
    b = len(x)
    return x.view(b, SIDE, SIDE, PATCH, PATCH, 4).permute(0, 5, 1, 3, 2, 4).reshape(b, 4, SIDE * PATCH, SIDE * PATCH)


class Sequence:
    """What a batch's sequences consist of. Group 0 is seen by all; the other groups are alternative continuations of it."""

    def __init__(self, one_position=True):
        """`one_position`: all slots of a picture share a rotary position, as in Transfusion."""
        self.one_position = one_position
        self.parts, self.times, self.spans, self.size = [], [], [], 0
        self.position, self.shown, self.group, self.image, self.next = [], [], [], [], {}

    def _start(self, group, b):
        if group not in self.next:
            self.next[group] = self.next.get(0, torch.zeros(b, dtype=torch.long))
        return self.next[group]

    def _add(self, part, position, shown, group, image):
        at, width = self.size, position.shape[1]
        self.parts.append(part)
        self.position.append(position)
        self.shown.append(shown)
        self.group += [group] * width
        self.image += [image] * width
        self.size += width
        return slice(at, at + width)

    def text(self, ids, length=None, group=0):
        """Right-padded ids (B, W); where its slots are."""
        b, width = ids.shape
        length = torch.full((b,), width) if length is None else length
        start = self._start(group, b)
        self.next[group] = start + length
        slot = torch.arange(width)[None]
        return self._add(("text", ids), start[:, None] + slot, slot < length[:, None], group, -1)

    def picture(self, z, times=None, group=0, kind="picture"):
        """Patches (B, 16, 16), at times (B) where the model wants them; all see each other."""
        b = len(z)
        start = self._start(group, b)
        self.next[group] = start + (1 if self.one_position else TOKENS)
        self.spans.append(self.size)
        self.times.append(times)
        position = start[:, None] + (0 if self.one_position else 1) * torch.arange(TOKENS)[None]
        return self._add((kind, z), position, torch.ones(b, TOKENS, dtype=torch.bool), group, len(self.spans))

    def time(self, times, group=0):
        """One slot that tells the time (B)."""
        start = self._start(group, len(times))
        self.next[group] = start + 1
        return self._add(("time", times), start[:, None], torch.ones(len(times), 1, dtype=torch.bool), group, -1)

    def layout(self):
        """Positions (B, T) and allowed attention (B, T, T)."""
        slot, group, image = torch.arange(self.size), torch.tensor(self.group), torch.tensor(self.image)
        inside = (image[:, None] == image[None]) & (image[:, None] > 0)
        same = ((slot[:, None] >= slot[None]) | inside) & ((group[None] == 0) | (group[:, None] == group[None]))
        shown = torch.cat(self.shown, 1)
        return torch.cat(self.position, 1), (same[None] & shown[:, None]) | (slot[:, None] == slot[None])[None]
