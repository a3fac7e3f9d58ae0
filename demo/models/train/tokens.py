"""The word-level tokenizer in Hugging Face's tokenizer.json form, and the two prompt templates of JanusFlow."""
import json

from prompts import NUMBERS
from scenes import COLOUR_NAMES, PLURALS, SHAPES
from word_tokenizer import word_tokenizer

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
NAME = {i: w for w, i in ID.items()}
ASSISTANT = ID["Assistant:"]
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


def tokenizer_json(names=None):
    """The whole tokenizer as the dict of tokenizer.json; `names` gives special tokens another family's spelling."""
    names = names or {}
    vocabulary = {names.get(w, w): i for w, i in ID.items()}
    return word_tokenizer(vocabulary, [names.get(t, t) for t in SPECIAL], PHRASES, BOS, UNK)


def tokenizer_files(names=None):
    """File name -> content of everything that belongs to the tokenizer (`names`: as for tokenizer_json)."""
    config = dict(
        tokenizer_class="LlamaTokenizerFast", add_bos_token=True, add_eos_token=False, bos_token=BOS, eos_token=EOS, pad_token=PAD,
        unk_token=UNK, clean_up_tokenization_spaces=False, model_max_length=128, legacy=True, use_default_system_prompt=False,
    )
    special = dict(bos_token=BOS, eos_token=EOS, pad_token=PAD, unk_token=UNK)
    return {
        "tokenizer.json": json.dumps(tokenizer_json(names), ensure_ascii=False, indent=1) + "\n",
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
        "special_tokens_map.json": json.dumps(special, ensure_ascii=False, indent=2) + "\n",
    }
