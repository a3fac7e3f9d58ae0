"""Words and special ids of the tiny Transfusion, numbered as transfusion-pytorch does: text first, then its own ids. There are no roles."""
import edits
from tokens import ID as BASE, UNK, VOCABULARY as KNOWN

MORE = "here i say tell".split()
WORDS = [*KNOWN, *(w for w in dict.fromkeys((*edits.WORDS, *MORE)) if w not in BASE)]
TEXT = 112  # num_text_tokens
SOS, EOS, NULL, SOM, EOM, META = range(TEXT, TEXT + 6)
ROWS = TEXT + 3 + 2 + 129
ID = {w: i for i, w in enumerate(WORDS)}
UNKNOWN = ID[UNK]
SHAPE = "4,4"
BEGIN = [META, *(META + 1 + ord(c) for c in SHAPE), SOM]
assert len(WORDS) <= TEXT


def words(text):
    """Ids of lower-cased words without punctuation."""
    return [ID.get(w, UNKNOWN) for w in text.split()]


def drawing(prompt):
    """Everything before the latents of a drawing."""
    return [SOS, *words(prompt), *BEGIN]


LOOK = [SOS, *BEGIN]  # before a picture that is looked at or edited


def edit(instruction):
    """What stands between the picture to edit and the edited one."""
    return [EOM, *words(instruction), *BEGIN]
