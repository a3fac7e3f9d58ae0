"""FLUX's autoencoder has no quant convolutions, and one shift for all channels. The shared autoencoder becomes one by a rotation of its latents.

Its decoder sees u = M z + b of scaled latents z, and Nexus-Gen's would see A (x / scale + shift) of flow latents x. With z = R x and A = scale M R
both are equal where R (1, 1, 1, 1) scale shift = M^-1 b: a rotation and a shift that do so exist. A goes into the first convolution, and since
nothing is added behind it, also the padding stays what it was.
"""
import torch

SCALE = 0.3611


def fit(vae):
    """(rotation R (4, 4), shift, A (4, 4)) for a diffusers AutoencoderKL."""
    m = vae.post_quant_conv.weight.detach().double()[:, :, 0, 0] / vae.config.scaling_factor
    goal = torch.linalg.solve(m, vae.post_quant_conv.bias.detach().double())
    ones = torch.ones(4, dtype=torch.double) / 2
    mirror = ones - goal / goal.norm()
    turn = torch.eye(4, dtype=torch.double) - 2 * torch.outer(mirror, mirror) / mirror.dot(mirror)  # takes ones to the goal's direction
    shift = goal.norm().item() / 2 / SCALE
    return turn.float(), shift, (SCALE * m @ turn).float()


def to_flow(z, turn):
    """Scaled latents (B, 4, 8, 8) -> flow latents."""
    return torch.einsum("dc,bdhw->bchw", turn, z)


def from_flow(x, turn):
    return torch.einsum("dc,bchw->bdhw", turn, x)


def decoder_state(vae):
    """The decoder's tensors, with A in its first convolution."""
    state = {k: v.detach() for k, v in vae.state_dict().items() if k.startswith("decoder.")}
    state["decoder.conv_in.weight"] = torch.einsum("ochw,ci->oihw", state["decoder.conv_in.weight"], fit(vae)[2])
    return state


def decode(vae, x, shift):
    """Pictures of flow latents by a diffusers AutoencoderKL without quant convolutions."""
    return vae.decode(x / SCALE + shift).sample
