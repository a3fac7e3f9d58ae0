"""Pisces' painter: diffusers' UNet2DConditionModel over the vectors of a picture, and its EulerDiscrete schedule."""
import torch
from diffusers import UNet2DConditionModel

from settled_batches import SIZE
from scenes import SIZE as PIXELS

CHANNELS, IDS = [32, 32], 8
CONFIG = dict(
    act_fn="silu", addition_embed_type="text_time", addition_time_embed_dim=IDS, attention_head_dim=[1, 2], block_out_channels=CHANNELS,
    center_input_sample=False, cross_attention_dim=SIZE, down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"], downsample_padding=1,
    flip_sin_to_cos=True, freq_shift=0, in_channels=4, layers_per_block=1, mid_block_type="UNetMidBlock2DCrossAttn", norm_eps=1e-5, norm_num_groups=8,
    out_channels=4, projection_class_embeddings_input_dim=SIZE + 6 * IDS, sample_size=8, transformer_layers_per_block=[1, 1],
    up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"], use_linear_projection=True,
)
SCHEDULER = dict(
    _class_name="EulerDiscreteScheduler", beta_end=0.012, beta_schedule="scaled_linear", beta_start=0.00085, interpolation_type="linear",
    num_train_timesteps=1000, prediction_type="epsilon", steps_offset=1, timestep_spacing="leading", use_karras_sigmas=False,
)
KEPT = torch.cumprod(1 - torch.linspace(SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5, 1000).double() ** 2, 0).float()
TIME_IDS = [PIXELS, PIXELS, 0, 0, PIXELS, PIXELS]


def build():
    return UNet2DConditionModel(**CONFIG)


def predict(unet, x, times, vectors):
    """Noise in x (B, 4, 8, 8), scaled to unit variance, at times 0..999 (B)."""
    added = dict(text_embeds=vectors.mean(1), time_ids=torch.tensor([TIME_IDS], dtype=torch.float32).expand(len(x), -1))
    return unet(x, times, encoder_hidden_states=vectors, added_cond_kwargs=added).sample.float()


@torch.no_grad()
def paint(unet, vectors, noise, steps):
    """Latents by Euler's rule over sigmas, without guidance."""
    times = (torch.arange(steps).flip(0) * (1000 // steps) + SCHEDULER["steps_offset"]).clamp(max=999)
    sigmas = torch.cat((((1 - KEPT[times]) / KEPT[times]).sqrt(), torch.zeros(1)))
    x = noise * (sigmas.max() ** 2 + 1).sqrt()
    for k, time in enumerate(times):
        scaled = x / (sigmas[k] ** 2 + 1).sqrt()
        x = x + (sigmas[k + 1] - sigmas[k]) * predict(unet, scaled, time.expand(len(x)), vectors)
    return x
