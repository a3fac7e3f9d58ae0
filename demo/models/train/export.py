"""Writes a trained checkpoint in the published JanusFlow layout.

usage: python export.py <work folder> <output folder>
"""
import sys

import torch

import llama as L
import model as M
import tokens as T
import tower as W
from publish import load_vae, load_weights, save_vae, save_weights, write
from scenes import SIZE


def config():
    """config.json with the keys of deepseek-ai/JanusFlow-1.3B; the tower's explicit sizes win over its model_name."""
    shared = dict(block_out_channels=[M.GEN], hidden_size=L.HIDDEN, layers_in_middle=2, norm_eps=L.EPS, use_bias=True, use_mid_block=True)
    return dict(
        architectures=["MultiModalityCausalLM"],
        language_config=dict(
            attn_implementation="eager", hidden_act="silu", hidden_size=L.HIDDEN, intermediate_size=L.FF, max_position_embeddings=256, model_type="llama",
            num_attention_heads=L.HEADS, num_hidden_layers=L.LAYERS, num_key_value_heads=L.HEADS, rms_norm_eps=L.EPS, rope_theta=10000.0,
            bos_token_id=T.ID[T.BOS], eos_token_id=T.ID[T.EOS], pad_token_id=T.ID[T.PAD], tie_word_embeddings=False, torch_dtype="bfloat16", vocab_size=T.ROWS,
        ),
        model_type="multi_modality",
        torch_dtype="bfloat16",
        vision_gen_dec_config=dict(
            cls="ShallowUViTDecoder", model_type="vision_gen_dec", params=dict(in_channels=M.GEN, out_channels=4, upsamples=1, **shared),
        ),
        vision_gen_enc_config=dict(
            cls="ShallowUViTEncoder", model_type="vision_gen_enc", params=dict(input_channels=4, kernel_size=2, padding=0, stride=2, **shared),
        ),
        vision_und_enc_config=dict(
            cls="CLIPVisionTower", model_type="vision_und_enc",
            params=dict(
                image_size=SIZE, model_name="siglip_large_patch16_384", select_feature="same", select_layer=-1, width=W.VIT, layers=W.VIT_LAYERS,
                heads=W.VIT_HEADS, patch_size=W.PATCH, mlp_ratio=W.VIT_RATIO,
            ),
        ),
    )


PREPROCESSOR = dict(
    background_color=[127, 127, 127], do_normalize=True, image_mean=[0.5, 0.5, 0.5], image_processor_type="VLMImageProcessor", image_size=SIZE,
    image_std=[0.5, 0.5, 0.5], min_size=14, processor_class="VLChatProcessor", rescale_factor=1 / 255,
)
PROCESSOR = dict(
    add_special_token=False, ignore_id=-100, image_end_tag=T.IMAGE_END, image_gen_tag=T.GEN, image_start_tag=T.IMAGE_BEG, image_tag=T.IMAGE, mask_prompt=True,
    num_image_tokens=T.IMAGE_TOKENS, processor_class="VLChatProcessor", sft_format="deepseek_old",
)


def export(work, out):
    """Everything: weights in bf16 (the VAE's decoder in f16: JanusFlow never encodes), configuration, tokenizer, processors."""
    save_weights(out, torch.load(work + "/model.pt")["ema"])
    save_vae(work, out, encoder=False)
    write(out, "config.json", config())
    write(out, "preprocessor_config.json", PREPROCESSOR)
    write(out, "processor_config.json", PROCESSOR)
    for name, content in T.tokenizer_files().items():
        write(out, name, content)


def load(folder):
    """The exported model and VAE, in f32."""
    model = M.JanusFlow()
    model.load_state_dict(load_weights(folder))
    return model.eval(), load_vae(folder)


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
