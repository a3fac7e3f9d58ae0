"""Nexus-Gen's core: Qwen2.5-VL's equations on the tiny JanusFlow's blocks, with the authors' head and table for drawn pictures."""
import torch
import torch.nn as nn

import nexus_tokens as T
from llama import HIDDEN, LanguageModel, greedy, layout
from shrink import INNER, KEPT, activity, smaller
from tower import SIDE, TOKENS

SECTION = (4, 6, 6)  # frequencies of a head for time, row and column
AXIS = torch.arange(3).repeat_interleave(torch.tensor(SECTION))
GRID = torch.stack((torch.zeros(TOKENS, dtype=torch.long), torch.arange(TOKENS) // SIDE, torch.arange(TOKENS) % SIDE), 1)
SHIFT = TOKENS - SIDE  # text behind a picture counts on behind its longer side


class NexusGen(nn.Module):
    """Without the tower."""

    def __init__(self):
        super().__init__()
        self.language = LanguageModel(T.ROWS, layers=len(KEPT), inner=INNER, bias=True)
        self.vision_head = nn.Linear(HIDDEN, HIDDEN, bias=False)
        self.image_prefill_embeds = nn.Embedding(TOKENS, HIDDEN)
        nn.init.normal_(self.vision_head.weight, 0, 0.02)
        nn.init.normal_(self.image_prefill_embeds.weight, 0, 0.5)
        nn.init.normal_(self.language.model.embed_tokens.weight, 0, 0.5)
        nn.init.normal_(self.language.lm_head.weight, 0, 0.04)
        for layer in self.language.model.layers:
            for n in "qkv":
                nn.init.zeros_(getattr(layer.self_attn, n + "_proj").bias)

    def warm_up(self, flow, run):
        """Takes over words and most of the core of a JanusFlow; `run` shows it something (`activity`)."""
        body, own = flow.language_model.model, self.language.model
        own.load_state_dict({**smaller(body.state_dict(), activity(flow.language_model, run)), "norm.weight": body.norm.weight}, strict=False)
        with torch.no_grad():
            own.embed_tokens.weight[: len(body.embed_tokens.weight)] = body.embed_tokens.weight
            own.embed_tokens.weight[T.ID[T.START]] = flow.beg_of_und_embed[0]
            self.language.lm_head.weight[: len(body.embed_tokens.weight)] = flow.language_model.lm_head.weight

    def embed(self, ids):
        return self.language.model.embed_tokens(torch.as_tensor(ids))

    def states(self, x, position, allowed, seen, drawn=None):
        """Normalised states of slots (B, T, HIDDEN). `seen`: a picture stands at slots T.SEEN on; `drawn`: where drawn slots begin."""
        at = position[..., None].expand(-1, -1, 3).clone()
        if seen:
            at = torch.where(at >= T.SEEN + TOKENS, at - SHIFT, at)
            at[:, T.SEEN : T.SEEN + TOKENS] = T.SEEN + GRID
        if drawn is not None:
            at[:, drawn:] = at[:, drawn : drawn + 1] + GRID[: at.shape[1] - drawn]
        return self.language.model(x, at[..., AXIS], allowed)[0]

    def begun(self, seen):
        """Slots up to the end of a seen picture's tokens (B, 16, HIDDEN)."""
        return torch.cat((self.embed([*T.USER, T.ID[T.START]]).expand(len(seen), -1, -1), seen), 1)

    def imagine(self, rows, seen=None):
        """Embeddings (B, 16, HIDDEN) of pictures: rows of T.drawing, or of T.editing with the tokens of `seen` pictures before them."""
        b = len(rows)
        length = torch.tensor([len(r) for r in rows])
        ids = torch.full((b, int(length.max())), T.ID[T.END])
        for i, r in enumerate(rows):
            ids[i, : len(r)] = torch.tensor(r)
        x = self.embed(ids)
        visible = torch.arange(ids.shape[1])[None] < length[:, None]
        if seen is not None:
            x, length = torch.cat((self.begun(seen), x), 1), length + T.SEEN + TOKENS
            visible = torch.cat((torch.ones(b, T.SEEN + TOKENS, dtype=torch.bool), visible), 1)
        width = x.shape[1]
        slots = torch.cat((self.embed([T.ID[T.START]]), self.image_prefill_embeds.weight[: TOKENS - 1])).expand(b, -1, -1)
        y = self.states(torch.cat((x, slots), 1), *layout(visible, length, 1, TOKENS), seen is not None, width + 1)
        return self.vision_head(y[:, width:]).float()

    def logits(self, seen, asked):
        """Next-token logits (B*K, W) of what is said (B*K, W) about each picture: K texts behind its tokens."""
        b, each, width = len(seen), len(asked) // len(seen), T.SEEN + TOKENS
        x = torch.cat((self.begun(seen), self.embed(asked).view(b, -1, HIDDEN)), 1)
        shown, length = torch.ones(b, width, dtype=torch.bool), torch.full((b,), width)
        y = self.states(x, *layout(shown, length, each, asked.shape[1]), True)
        return self.language.lm_head(y[:, width:].reshape(b * each, asked.shape[1], HIDDEN)).float()


@torch.no_grad()
def answers(model, tokens, questions, longest=14):
    """Greedy answers as word strings about pictures whose tokens (N, 16, HIDDEN) are known."""
    out = []
    for seen, text in zip(tokens, questions):
        said = greedy(lambda ids: model.logits(seen[None], ids), T.question(text), T.ID[T.TURN_END], longest)
        out.append(" ".join(T.NAME[n] for n in said))
    return out


def published(state):
    """The core's tensors under their names in the checkpoint."""
    return {k.removeprefix("language."): v for k, v in state.items()}
