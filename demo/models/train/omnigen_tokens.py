"""Words and template of the tiny OmniGen: Phi-3's control tokens, and the ids of the shared words as they are."""
import edits
from tokens import ID as BASE, SPECIAL, VOCABULARY as KNOWN

INSTRUCTION = "Generate an image according to the following instructions"
NEGATIVE = (
    "low quality, jpeg artifacts, ugly, duplicate, morbid, mutilated, extra fingers, mutated hands, poorly drawn hands, poorly drawn face, "
    "mutation, deformed, blurry, dehydrated, bad anatomy, bad proportions, extra limbs, cloned face, disfigured, gross proportions, "
    "malformed limbs, missing arms, missing legs, extra arms, extra legs, fused fingers, too many fingers."
)
NOTHING = "nothing"  # what the tokenizer makes of the long negative prompt
# OmniGen's code knows 1 as the id of <s>; the other special tokens take the places of Janus's.
CONTROL = ["</s>", "<s>", "<|endoftext|>", "<|assistant|>", "<|diffusion|>", "<img>", "</img>", "<unk>"]
ADDED = {9: "<|user|>", 10: "<|end|>", 8: INSTRUCTION}  # ids of the phrases of Janus
WORDS = [*KNOWN[11:], *(w for w in dict.fromkeys((*edits.WORDS, NOTHING)) if w not in BASE)]
ROWS = 128
ID = {**{t: i for i, t in enumerate(CONTROL)}, **{t: i for i, t in ADDED.items()}, **{w: 11 + i for i, w in enumerate(WORDS)}}
assert len(CONTROL) == len(SPECIAL) == 8 and len(ID) == 11 + len(WORDS) <= ROWS and all(ID[w] == BASE[w] for w in KNOWN[11:])
BEFORE = [ID["<s>"], ID["<|user|>"], ID[INSTRUCTION]]
BEHIND = [ID["<|end|>"], ID["<|assistant|>"], ID["<|diffusion|>"]]


def words(text):
    return [ID.get(w, ID["<unk>"]) for w in text.split()]


def drawing(prompt):
    """Everything before the time; `nothing` stands for no prompt."""
    return [*BEFORE, *words(prompt), *BEHIND]


LOOK = [*BEFORE, ID["<img>"]]  # before a picture


def edit(instruction):
    """What follows the picture; with "" the prompt of a picture alone."""
    return [ID["</img>"], *words(instruction), *BEHIND]
