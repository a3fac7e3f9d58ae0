"""A word-level tokenizer in Hugging Face's tokenizer.json form: lower case, letters only, unknown words become one token."""


def word_tokenizer(vocabulary, special, phrases=(), bos=None, unk="<unk>", before=()):
    """The dict of tokenizer.json.

    `special` and `phrases` are found in the text as it was written; `bos`, where given, is put before every text;
    `before` holds normalizers that see the lower-cased text first.
    """
    added = [
        dict(id=vocabulary[t], content=t, single_word=False, lstrip=False, rstrip=False, normalized=False, special=t in special)
        for t in [*special, *phrases]
    ]
    start = [{"SpecialToken": {"id": bos, "type_id": 0}}] if bos else []
    pair = [*start, {"Sequence": {"id": "A", "type_id": 0}}]
    template = {
        "type": "TemplateProcessing",
        "single": pair,
        "pair": [*pair, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {bos: {"id": bos, "ids": [vocabulary[bos]], "tokens": [bos]}} if bos else {},
    }
    letters = {"type": "Replace", "pattern": {"Regex": "[^a-z]+"}, "content": " "}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, *before, letters]},
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": template if bos else None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": unk},
    }
