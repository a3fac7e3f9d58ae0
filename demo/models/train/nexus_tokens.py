"""Words and templates of the tiny Nexus-Gen: Qwen's control tokens in the places of Janus's, and the ids of the shared words as they are."""
import edits
from batches import Questions
from settled import WORDS as SETTLED
from tokens import ASSISTANT, ID as BASE, SPECIAL, VOCABULARY as KNOWN

END, TURN_END, VISION, TURN, PICTURE, START, STOP, UNK = (
    "<|endoftext|>", "<|im_end|>", "<|vision_pad|>", "<|im_start|>", "<|image_pad|>", "<|vision_start|>", "<|vision_end|>", "<unk>",
)
CONTROL = [END, TURN_END, VISION, TURN, PICTURE, START, STOP, UNK]
HELPFUL, GENERATE = "You are a helpful assistant.", "Generate an image according to the following description:"
DRAWN, EDITED = "Here is an image based on the description:", "Here is the image:"
PHRASES = [HELPFUL, GENERATE, DRAWN, EDITED]
WORDS = [*KNOWN[11:], *SETTLED, *(w for w in edits.WORDS if w not in BASE)]
ID = {w: i for i, w in enumerate([*CONTROL, HELPFUL, "user", "assistant", *WORDS, "system", GENERATE, DRAWN, EDITED])}
NAME = {i: w for w, i in ID.items()}
ROWS = 128
assert len(CONTROL) == len(SPECIAL) and len(ID) == 15 + len(WORDS) <= ROWS and all(ID[w] == BASE[w] for w in KNOWN[11:])

USER = [ID[TURN], ID["system"], ID[HELPFUL], ID[TURN_END], ID[TURN], ID["user"]]
ANSWER = [ID[TURN_END], ID[TURN], ID["assistant"]]
SEEN = len(USER) + 1  # where a picture's tokens begin


def words(text):
    return [ID.get(w, ID[UNK]) for w in text.split()]


def drawing(ids):
    """Everything before the token that begins the drawn picture."""
    return [*USER, ID[GENERATE], *ids, *ANSWER, ID[DRAWN]]


def editing(ids):
    """What lies between the tokens of the edited picture and the token that begins the drawn one."""
    return [ID[STOP], *ids, *ANSWER, ID[EDITED]]


def question(text):
    """What follows the picture's tokens."""
    return [ID[STOP], *words(text), *ANSWER]


class Asked(Questions):
    """Questions in this template."""

    def ask(self, objects):
        ids, start = super().ask(objects)
        assert ids[start - 1] == ASSISTANT and ids[-1] == ID[TURN_END]
        before = [ID[STOP], *ids[: start - 1], *ANSWER]
        return before + ids[start:], len(before)
