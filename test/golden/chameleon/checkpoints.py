"""Two small random checkpoints: the layout of leloy/Anole-7b-v0.1-hf (with the VQ decoder) and that of
facebook/chameleon-7b (several files, no VQ decoder)."""

import json
import math

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import ChameleonConfig, ChameleonForConditionalGeneration

BOS, PAD, EOS, UNK = "<s>", "<pad>", "</s>", "<unk>"
EOI, BOI, EOT, IMAGE = "<eoss>", "<racm3:break>", "<reserved08706>", "<image>"
CORPUS = [
    "What do you see in this picture? A small red fox sits in the autumn leaves.",
    "Draw a lighthouse at dusk, highly detailed, in natural colors.",
    "Which of the two pictures is brighter, the first or the second one?",
    "A bowl of fruit on a wooden table: 3 apples, 2 pears and 17 plums.",
    "It's the user's picture; they're asking what we'd say about it, aren't they?",
    "if a < b and c <= d then <b>bold</b> or <b>big</b> or <b>blue</b>, <b>both</b>, <b>bowl</b> else <b>x</b>",
    "今天天气很好，我们去公园看花。 Привет, мир! Déjà vu, naïve café.",
]

CHECKPOINTS = {
    "anole": dict(
        seed=54,
        shards=1,
        decoder=True,
        merges=60,
        codes=64,
        reserved=3,
        padding_rows=3,
        names_in_order=True,
        language=dict(
            hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
            max_position_embeddings=192, vocab_size=0, rms_norm_eps=1e-5,
            rope_parameters=dict(rope_theta=10000.0, rope_type="default"),
        ),
        heads_share_norms=True,
        vq=dict(
            base_channels=32, channel_multiplier=[1, 1], num_res_blocks=1, attn_resolutions=None, latent_channels=8,
            embed_dim=6, num_embeddings=64, resolution=8, in_channels=3, double_latent=False, attn_type="vanilla",
            dropout=0.0,
        ),
    ),
    "chameleon": dict(
        seed=50,
        shards=2,
        decoder=False,
        merges=20,
        codes=48,
        reserved=1,
        padding_rows=0,
        names_in_order=False,
        language=dict(
            hidden_size=64, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
            max_position_embeddings=256, vocab_size=0, rms_norm_eps=1e-6,
            rope_parameters=dict(rope_theta=5000.0, rope_type="default"),
        ),
        # As in a model that was trained in several parts: every head its own norm.
        heads_share_norms=False,
        vq=dict(
            base_channels=32, channel_multiplier=[1, 2, 1], num_res_blocks=1, attn_resolutions=[4], latent_channels=6,
            embed_dim=8, num_embeddings=48, resolution=16, in_channels=3, double_latent=False, attn_type="vanilla",
            dropout=0.0,
        ),
    ),
}


def code_name(code):
    """Meta's name of a picture code: decimal digits as letters."""
    return "IMGIMG" + "".join(chr(ord("A") + int(digit)) for digit in str(code)) + "Z"


def special_tokens(spec):
    """Everything before the first piece of text, in the order of ids."""
    names = [code_name(code) for code in range(spec["codes"])]
    reserved = [f"<reserved{index:05}>" for index in range(8200, 8200 + spec["reserved"])]
    return [BOS, PAD, EOS, UNK, *names, EOI, BOI, *reserved, EOT, IMAGE]


def make_tokenizer(spec):
    """A byte-level BPE behind the special tokens; single digits, and codes of pictures as words of their own."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex("(IMGIMG)((A|B|C|D|E|F|G|H|I|J){1,4})Z"), "isolated"),
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    special = special_tokens(spec)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + len(alphabet) + spec["merges"], initial_alphabet=alphabet, show_progress=False,
        special_tokens=[AddedToken(text, normalized=False, special=True) for text in special],
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    vocabulary = tokenizer.get_vocab()
    assert [vocabulary[name] for name in special] == list(range(len(special)))
    # Pieces that begin with "<" are ordinary text, and yet Meta's code never lets them be written.
    assert any(name.startswith("<") and name != "<" for name in set(vocabulary) - set(special))
    return tokenizer


def model_config(spec, tokenizer):
    """config.json with the keys of the published ones."""
    vocabulary = tokenizer.get_vocab()
    names = sorted(vocabulary, key=vocabulary.get)
    if not spec["names_in_order"]:
        names = names[::-1]
    return dict(
        architectures=["ChameleonForConditionalGeneration"],
        attention_bias=False,
        attention_dropout=0.0,
        bos_token_id=1,
        eos_token_id=2,
        hidden_act="silu",
        initializer_range=0.02,
        mlp_bias=False,
        model_parallel_size=1,
        model_type="chameleon",
        swin_norm=False,
        tie_word_embeddings=False,
        torch_dtype="bfloat16",
        use_cache=True,
        vocabulary_map={name: vocabulary[name] for name in names},
        vq_config=dict(spec["vq"], model_type="chameleon_vqgan"),
        **dict(spec["language"], vocab_size=len(vocabulary) + spec["padding_rows"]),
    )


def vq_arguments(spec):
    """The same sizes as Meta's vqgan.yaml names them."""
    vq = spec["vq"]
    return dict(
        embed_dim=vq["embed_dim"],
        n_embed=vq["num_embeddings"],
        ddconfig=dict(
            double_z=False, z_channels=vq["latent_channels"], resolution=vq["resolution"], in_channels=3, out_ch=3,
            ch=vq["base_channels"], ch_mult=vq["channel_multiplier"], num_res_blocks=vq["num_res_blocks"],
            attn_resolutions=vq["attn_resolutions"] or [], dropout=0.0,
        ),
    )


# Standard deviation times sqrt(fan in), by a part of the name; 1 elsewhere.
GAINS = {
    "q_proj": 1.5, "k_proj": 1.5, "lm_head": 3.0, "embed_tokens": 0.7, "quantize.embedding": 1.4, "quant_conv": 1.3,
    "decoder.conv_out": 1.2, "block": 1.3,
}


def random_weights(state, generator, share_norms):
    """Random values at scales that keep every stage alive and attention peaked."""
    weights = {}
    for name, tensor in state.items():
        leaf = name.rsplit(".", 1)[-1]
        fan_in = math.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1
        is_table = "embed_tokens" in name or "quantize.embedding" in name
        gain = next((gain for key, gain in GAINS.items() if key in name), 1.0) / (1 if is_table else math.sqrt(fan_in))
        value = torch.randn(tensor.shape, generator=generator)
        if "_norm." in name and tensor.ndim == 2:  # [heads, head size]
            value = value[:1].expand_as(value) if share_norms else value
        if leaf == "weight" and (tensor.ndim == 1 or "_norm." in name):
            value = 1 + 0.2 * value
        elif leaf == "bias":
            value = 0.15 * value
        else:
            value = gain * value
        weights[name] = to_grid(value)
    return weights


def to_grid(value):
    """Few different numbers, all exact in bfloat16 and float16: a file's dtype changes nothing, and git packs it well."""
    step = 2.0 ** math.floor(math.log2(value.std().item() / 2)) if value.std() > 0 else 1.0
    return (value / step).round().clamp(-127, 127) * step


def write_checkpoint(reference, spec, folder):
    """Writes one entry of CHECKPOINTS."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(spec)
    config = model_config(spec, tokenizer)
    write_json(folder / "config.json", config)
    write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    write_json(folder / "tokenizer_config.json", dict(
        add_bos_token=True, add_eos_token=False, bos_token=BOS, eos_token=EOS, pad_token=PAD, sep_token=EOT,
        unk_token=UNK, clean_up_tokenization_spaces=False, legacy=False, model_max_length=1000000000000000019884624838656,
        tokenizer_class="LlamaTokenizer", use_default_system_prompt=False,
    ))
    generator = torch.Generator().manual_seed(spec["seed"])
    model = ChameleonForConditionalGeneration(ChameleonConfig(**config))
    weights = random_weights(
        {name: value for name, value in model.state_dict().items() if "vqmodel" not in name},
        generator, spec["heads_share_norms"],
    )
    vq = random_weights(reference.vqgan.VQModel(**vq_arguments(spec)).state_dict(), generator, True)
    for name, value in vq.items():
        if spec["decoder"] or not name.startswith("decoder."):
            weights[f"model.vqmodel.{name}"] = value
    tensors = {name: value.to(torch.bfloat16).contiguous() for name, value in weights.items()}
    metadata = {"format": "pt"}
    if spec["shards"] == 1:
        save_file(tensors, folder / "model.safetensors", metadata)
        return
    files = {}
    for name, value in tensors.items():
        shard = 2 if "vqmodel" in name or "lm_head" in name else 1
        files.setdefault(f"model-{shard:05}-of-00002.safetensors", {})[name] = value
    for file, part in files.items():
        save_file(part, folder / file, metadata)
    total = sum(value.nbytes for value in tensors.values())
    index = {name: file for file, part in files.items() for name in part}
    write_json(folder / "model.safetensors.index.json", dict(metadata=dict(total_size=total), weight_map=index))


def write_meta_layout(spec, source, folder):
    """The same weights as Meta publishes theirs: other names, one norm for all heads, and neighbours of a head as the
    pairs that are rotated. The inverse of transformers' convert_chameleon_weights_to_hf.py."""
    (folder / "models/7b").mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer").mkdir(exist_ok=True)
    language = spec["language"]
    heads, size = language["num_attention_heads"], language["hidden_size"] // language["num_attention_heads"]
    core, pictures = {"rope.freqs": torch.ones(size // 2)}, {}
    for name, value in load_file(source / "model.safetensors").items():
        if name.startswith("model.vqmodel."):
            pictures[name[len("model.vqmodel."):]] = value
            continue
        if "q_proj" in name or "k_proj" in name:
            value = value.view(heads, 2, size // 2, -1).transpose(1, 2).reshape(value.shape)
        if "q_norm" in name or "k_norm" in name:
            value = value[0].view(2, size // 2).T.reshape(size)
        for old, new in META_NAMES.items():
            name = name.replace(old, new)
        core[name] = value.contiguous()
    config = json.loads((source / "config.json").read_text())
    torch.save(core, folder / "models/7b/consolidated.pth")
    torch.save({"state_dict": {name: value.contiguous() for name, value in pictures.items()}}, folder / "tokenizer/vqgan.ckpt")
    # Ours: vq_config stands in for vqgan.yaml, and max_seq_len for the option of their code.
    write_json(folder / "models/7b/params.json", dict(
        model=dict(
            dim=language["hidden_size"], n_layers=language["num_hidden_layers"], n_heads=heads, n_kv_heads=None,
            vocab_size=config["vocab_size"], ffn_dim_multiplier=0.56, multiple_of=16, norm_eps=1e-5, rope_theta=10000.0,
            qk_normalization=True, swin_norm=False,
        ),
        max_seq_len=language["max_position_embeddings"],
        vq_config=config["vq_config"],
    ))
    tokenizer = (source / "tokenizer.json").read_text()
    (folder / "tokenizer/text_tokenizer.json").write_text(tokenizer)


META_NAMES = {
    "model.embed_tokens": "tok_embeddings", "lm_head": "output", "model.": "", "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo",
    "self_attn.q_norm": "attention.q_normalization", "self_attn.k_norm": "attention.k_normalization",
    "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
    "post_attention_layernorm": "ffn_norm", "input_layernorm": "attention_norm",
}


def write_json(path, content):
    """JSON as the hub's files have it."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
