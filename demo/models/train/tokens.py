"""The word-level tokenizer in Hugging Face's tokenizer.json form, and the two prompt templates of JanusFlow."""
import json

from prompts import NUMBERS
from scenes import COLOUR_NAMES, PLURALS, SHAPES

BOS, EOS, PAD, GEN = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>", "<｜begin▁of▁generation｜>"
IMAGE, IMAGE_BEG, IMAGE_END, UNK = "<image_placeholder>", "<image_beg>", "<image_end>", "<unk>"
SYSTEM = (
    "You are a helpful language and vision assistant. You are able to understand the visual content that the user provides, "
    "and assist the user with a variety of tasks using natural language."
)
SPECIAL = [BOS, EOS, PAD, GEN, IMAGE, IMAGE_BEG, IMAGE_END, UNK]
PHRASES = [SYSTEM, "User:", "Assistant:"]
FILLER = "a an the and of is are on in at to me it you do see there this what which how many where please draw paint show picture image drawing describe"
TOPIC = "shape shapes object objects color colour left right top bottom middle above below yes no"
WORDS = FILLER.split() + TOPIC.split() + NUMBERS + COLOUR_NAMES + SHAPES + PLURALS
VOCABULARY = SPECIAL + PHRASES + WORDS
ID = {w: i for i, w in enumerate(VOCABULARY)}
ROWS = 96  # rows of the embedding: a multiple of 32
IMAGE_TOKENS = 16
assert len(ID) == len(VOCABULARY) <= ROWS


def words(text):
    """Ids of lower-cased words without punctuation, as the tokenizer would give them."""
    return [ID.get(w, ID[UNK]) for w in text.split()]


def drawing_ids(prompt):
    """`User: {prompt}\\n\\nAssistant:` as ids; the generation tag that follows is replaced by the time embedding."""
    return [ID[BOS], ID["User:"], *words(prompt), ID["Assistant:"]]


START = [ID[BOS], ID[SYSTEM], ID["User:"], ID[IMAGE_BEG], *[ID[IMAGE]] * IMAGE_TOKENS, ID[IMAGE_END]]


def question_ids(question):
    """The understanding prompt as ids, with the picture's start, tokens and end (START) in place."""
    return [*START, *words(question), ID["Assistant:"]]


def tokenizer_json():
    """The whole tokenizer as the dict of tokenizer.json."""
    added = [
        dict(id=ID[t], content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=t in SPECIAL)
        for t in SPECIAL + PHRASES
    ]
    pair = [{"SpecialToken": {"id": BOS, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {
            "type": "Sequence",
            "normalizers": [{"type": "Lowercase"}, {"type": "Replace", "pattern": {"Regex": "[^a-z]+"}, "content": " "}],
        },
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": pair,
            "pair": [*pair, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {BOS: {"id": BOS, "ids": [ID[BOS]], "tokens": [BOS]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": ID, "unk_token": UNK},
    }


def tokenizer_files():
    """File name -> content of everything that belongs to the tokenizer."""
    config = dict(
        tokenizer_class="LlamaTokenizerFast", add_bos_token=True, add_eos_token=False, bos_token=BOS, eos_token=EOS, pad_token=PAD,
        unk_token=UNK, clean_up_tokenization_spaces=False, model_max_length=128, legacy=True, use_default_system_prompt=False,
    )
    special = dict(bos_token=BOS, eos_token=EOS, pad_token=PAD, unk_token=UNK)
    return {
        "tokenizer.json": json.dumps(tokenizer_json(), ensure_ascii=False, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
        "special_tokens_map.json": json.dumps(special, ensure_ascii=False, indent=2) + "\n",
    }
