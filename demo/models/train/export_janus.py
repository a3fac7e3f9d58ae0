"""Writes the tiny Janus in the layout of deepseek-ai/Janus-1.3B.

usage: python export_janus.py <work folder> <output folder>
"""
import sys

import torch

import janus_model as J
import llama as L
import tokens as T
import tower as W
import vq
from export import PREPROCESSOR
from publish import load_weights, save_weights, write
from scenes import SIZE
from train_janus import load_vq

NAMES = {T.IMAGE_BEG: "<begin_of_image>", T.IMAGE_END: "<end_of_image>"}
PROCESSOR = dict(
    add_special_token=False, ignore_id=-100, image_end_tag="<end_of_image>", image_start_tag="<begin_of_image>", image_tag=T.IMAGE, mask_prompt=True,
    num_image_tokens=W.TOKENS, pad_tag=T.PAD, processor_class="VLChatProcessor", sft_format="deepseek",
)


def projector(width, kind):
    return dict(cls="MlpProjector", model_type=kind, params=dict(depth=2, input_dim=width, n_embed=L.HIDDEN, projector_type="mlp_gelu"))


def config():
    """config.json with the keys of Janus-1.3B; the sizes that its code has as constants (tower, VQ) are stated too, and win."""
    return dict(
        architectures=["MultiModalityCausalLM"],
        aligner_config=projector(W.VIT, "aligner"),
        gen_aligner_config=projector(vq.DIM, "gen_aligner"),
        gen_head_config=dict(
            cls="vision_head", model_type="gen_head", params=dict(image_token_embed=L.HIDDEN, image_token_size=vq.CODES, n_embed=L.HIDDEN),
        ),
        gen_vision_config=dict(
            cls="VQ-16", model_type="gen_vision",
            params=dict(
                image_token_size=vq.CODES, n_embed=vq.DIM, ch=vq.CH, ch_mult=list(vq.MULT), num_res_blocks=1,
                z_channels=vq.Z,
            ),
        ),
        language_config=dict(
            hidden_size=L.HIDDEN, intermediate_size=L.FF, max_position_embeddings=256, model_type="llama", num_attention_heads=L.HEADS,
            num_hidden_layers=L.LAYERS, num_key_value_heads=L.HEADS, rms_norm_eps=L.EPS, rope_theta=10000.0, bos_token_id=T.ID[T.BOS],
            eos_token_id=T.ID[T.EOS], pad_token_id=T.ID[T.PAD], torch_dtype="bfloat16", vocab_size=T.ROWS,
        ),
        model_type="multi_modality",
        torch_dtype="bfloat16",
        vision_config=dict(
            cls="CLIPVisionTower", model_type="vision",
            params=dict(
                image_size=SIZE, model_name="siglip_large_patch16_384", select_feature="same", select_layer=-1, width=W.VIT, layers=W.VIT_LAYERS,
                heads=W.VIT_HEADS, patch_size=W.PATCH, mlp_ratio=W.VIT_RATIO,
            ),
        ),
    )


def export(work, out):
    """Weights in bf16. The VQ's encoder is left out: Janus never encodes."""
    codec, _ = load_vq(work)
    kept = {f"gen_vision_model.{k}": v for k, v in codec.state_dict().items() if not k.startswith(("encoder.", "quant_conv."))}
    save_weights(out, {**torch.load(work + "/janus.pt")["ema"], **kept})
    write(out, "config.json", config())
    write(out, "preprocessor_config.json", PREPROCESSOR)
    write(out, "processor_config.json", PROCESSOR)
    for name, content in T.tokenizer_files(NAMES).items():
        write(out, name, content)


def load(folder):
    """The exported model and VQ, in f32."""
    tensors = load_weights(folder)
    model, codec, prefix = J.Janus(), vq.VQ(), "gen_vision_model."
    model.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(prefix)})
    missing, unexpected = codec.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}, strict=False)
    assert not unexpected and all(k.startswith(("encoder.", "quant_conv.")) for k in missing)
    return model.eval(), codec.eval()


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
