"""Words and template of the tiny Pisces: LLaMA-3's control tokens in the places of Janus's, and the ids of the shared words as they are."""
from batches import Questions
from settled import WORDS as SETTLED
from tokens import ASSISTANT, ID as BASE, ROWS, SPECIAL, VOCABULARY as KNOWN

BOS, EOT, END, HEADER, HEADED, START, STOP, UNK = (
    "<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>", "<unk>",
)
CONTROL = [BOS, EOT, END, HEADER, HEADED, START, STOP, UNK]
ROLES = ["system", "user", "assistant"]  # ids of the phrases of Janus
ID = {w: i for i, w in enumerate([*CONTROL, *ROLES, *KNOWN[11:], *SETTLED])}
NAME = {i: w for w, i in ID.items()}
assert len(CONTROL) == len(SPECIAL) and len(ID) == 11 + len(KNOWN[11:]) + len(SETTLED) <= ROWS and all(ID[w] == BASE[w] for w in KNOWN[11:])
USER = [ID[BOS], ID[HEADER], ID["user"], ID[HEADED]]
ANSWER = [ID[EOT], ID[HEADER], ID["assistant"], ID[HEADED]]


def words(text):
    return [ID.get(w, ID[UNK]) for w in text.split()]


def drawing(prompt):
    """Everything before the token that begins the picture."""
    return [*USER, *words(prompt), *ANSWER]


SEEN = len(USER) + 1  # where a picture's tokens begin


def question(text):
    """What follows the picture's tokens."""
    return [ID[STOP], *words(text), *ANSWER]


class Asked(Questions):
    """Questions in this template."""

    def ask(self, objects):
        ids, start = super().ask(objects)
        assert ids[start - 1] == ASSISTANT and ids[-1] == ID[EOT]
        before = [ID[STOP], *ids[: start - 1], *ANSWER]
        return before + ids[start:], len(before)
