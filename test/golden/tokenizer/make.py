"""Golden data of the tokenizers of the two janus-flow checkpoints.

    pip install -r ../janus-flow/requirements.txt
    python make.py --reference <a clone of deepseek-ai/Janus>

Writes a.json and b.json. Per string:
- `ids`: Python `tokenizers` on tokenizer.json alone, special tokens added (b has no BOS there);
- `decoded`, `decodedPlain`: of these ids, special tokens kept and skipped;
- `referenceIds`: the authors' VLChatProcessor's tokenizer.encode, which prepends BOS by tokenizer_config.json and
  knows the image tags that the processor appends (null where equal to `ids`).
`pieces` are ids of single tokens decoded one after the other: `texts[i]` is the decoding of the first i+1 ids.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import sys

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "janus-flow"
sys.path.insert(0, str(GOLDEN))
from checkpoints import BOS, EOS, GENERATE, IMAGE, IMAGE_END, IMAGE_START, PAD, SYSTEM_PROMPT  # noqa: E402
from reference import Reference  # noqa: E402

STRINGS = [
    "",
    " ",
    "  ",
    "     ",
    "\n",
    "\n\n",
    "\r\n",
    "\n \n",
    "\t",
    "a",
    " a",
    "a ",
    "  a  ",
    "Hello, world!",
    "What is in this picture?",
    "The image shows a lake under a cloudy sky.",
    SYSTEM_PROMPT,
    "User: A small red fox.\n\nAssistant:",
    "line one\nline two\r\nline three\n",
    "trailing newline\n",
    "trailing spaces   ",
    "   leading spaces",
    "two  spaces   three",
    "tab\tseparated\tvalues",
    "CamelCase snake_case kebab-case",
    "it's they're we'd I'M don't 'tis",
    "0",
    "7 42 2024 1234567890",
    "3.14159, -2e-10, 1/30, 50%",
    "x1y2z3",
    "١٢٣ ४५६ １２３ ②",
    "!!!???...",
    "(a+b)*c = {d}[e] <f> & \"g\" | ~h ^ `i` # @ $ \\",
    "--- *** ___",
    "\\frac{a}{b} = \\sqrt{c^2 + 17}",
    "https://example.org/path?q=1&r=%20#top",
    "今天天气很好，我们去公园看花。",
    "图片里有 2 只猫 and a dog",
    "これは小さな家の写真です。",
    "カタカナ ﾊﾝｶｸ ーー",
    "안녕하세요 세계",
    "한국어와中文混合text",
    "Привет, мир!",
    "Γειά σου Κόσμε",
    "שלום עולם مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Déjà vu, naïve café",
    "smörgåsbord übung øl þing Ýmir ÿ ÷",
    "e\u0301 cafe\u0301 n\u0303",
    "\u0301",
    " \u0301 \u0308",
    "ﬁ ﬀ Ω K Å Ǆ",
    "𐐀𐐨 𝒳 𝟘 𠀀𠮷",
    "😀",
    "👍🏽 👨‍👩‍👧 🇫🇷 ❤️",
    "a😀b c😀 d",
    "\u200b zero\u200dwidth \ufeff",
    "\u00a0nbsp\u00a0 \u3000ideographic\u3000 \u2028",
    "\x00\x01\x7f",
    "�",
    f"{BOS}",
    f"{EOS}",
    f"before {EOS} after",
    f"{BOS}User: hi{EOS}",
    f"{PAD}{PAD}",
    f"{IMAGE}",
    f" {IMAGE} ",
    f"{IMAGE}\n{IMAGE}\nWhich is brighter?",
    f"say {IMAGE_START}{IMAGE_END} and {GENERATE}",
    f"Assistant:{GENERATE}",
    "<image_placeholder <image_placeholderx> < image_placeholder>",
    "<|begin▁of▁sentence|> <｜begin of sentence｜>",
    "▁under▁ ｜bar｜",
    "A" * 40,
    "ab" * 20 + " " + "c" * 15,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", default=os.environ.get("JANUS_REFERENCE"))
    reference = Reference(parser.parse_args().reference)
    for name in ("a", "b"):
        folder = GOLDEN / name / "checkpoint"
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        authors = reference.VLChatProcessor.from_pretrained(folder).tokenizer
        cases = []
        for text in STRINGS:
            ids = tokenizer.encode(text).ids
            theirs = authors.encode(text)
            cases.append(dict(
                text=text,
                ids=ids,
                decoded=tokenizer.decode(ids, skip_special_tokens=False),
                decodedPlain=tokenizer.decode(ids, skip_special_tokens=True),
                referenceIds=None if theirs == ids else theirs,
            ))
        pieces = []
        for text in ("今天 a😀é\n", "naïve café 👍🏽", "<｜end▁of▁sentence｜> 안녕"):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            texts = [tokenizer.decode(ids[: i + 1], skip_special_tokens=True) for i in range(len(ids))]
            pieces.append(dict(text=text, ids=ids, texts=texts))
        golden = json.loads((GOLDEN / name / "goldens.json").read_text())
        for case in golden["understand"].values():
            ids = case["answerIds"]
            texts = [authors.decode(ids[: i + 1], skip_special_tokens=True) for i in range(len(ids))]
            pieces.append(dict(text=None, ids=ids, texts=texts))
        lines = ",\n".join("    " + json.dumps(case, ensure_ascii=True) for case in cases)
        piece_lines = ",\n".join("    " + json.dumps(piece, ensure_ascii=True) for piece in pieces)
        libraries = json.dumps(
            {package: importlib.metadata.version(package) for package in ("tokenizers", "transformers")}
        )
        text = (
            f'{{\n  "checkpoint": "../janus-flow/{name}/checkpoint",\n  "libraries": {libraries},\n'
            f'  "cases": [\n{lines}\n  ],\n  "pieces": [\n{piece_lines}\n  ]\n}}\n'
        )
        json.loads(text)
        (HERE / f"{name}.json").write_text(text)


if __name__ == "__main__":
    main()
