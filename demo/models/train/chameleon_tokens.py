"""Vocabulary and sequences of the tiny Chameleon: codes of pictures and words in one table, in the order of the published one."""
import edits
from tokens import UNK as BASE_UNK, VOCABULARY as KNOWN
from vq import CODES

BOS, PAD, EOS, UNK, EOI, BOI, EOT, IMAGE = "<s>", "<pad>", "</s>", "<unk>", "<eoss>", "<racm3:break>", "<reserved08706>", "<image>"


def code_name(code):
    """Meta's name of a code: decimal digits as letters."""
    return "IMGIMG" + "".join(chr(ord("A") + int(d)) for d in str(code)) + "Z"


SPECIAL = [BOS, PAD, EOS, UNK, *(code_name(c) for c in range(CODES)), EOI, BOI, EOT, IMAGE]
FIRST = 4  # id of code 0
MORE = "here i say tell".split()
WORDS = list(dict.fromkeys((*KNOWN[11:], *edits.WORDS, *MORE)))
VOCABULARY = [*SPECIAL, *WORDS]
ROWS = 640
ID = {w: i for i, w in enumerate(VOCABULARY)}
START, END, BEGIN, FINISH, TURN = ID[BOS], ID[EOS], ID[BOI], ID[EOI], ID[EOT]
assert len(ID) == len(VOCABULARY) <= ROWS and BASE_UNK == UNK


def words(text):
    return [ID.get(w, ID[UNK]) for w in text.split()]


def picture(codes):
    """A picture's codes between their marks."""
    return [BEGIN, *(FIRST + int(c) for c in codes), FINISH]
