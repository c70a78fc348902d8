"""Clinical text to tokens, with nothing to download.

A WordPiece tokenizer over a small public vocabulary that ships with the package: common clinical
and English words, then single letters, so that every word has tokens. Lower-cased, accents
stripped, as BERT's uncased tokenizers do.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

PAD, UNKNOWN = "[PAD]", "[UNK]"


@cache
def vocabulary() -> tuple[str, ...]:
    """The shipped tokens; a token's index is its id and [PAD] is 0.

    The file lists words; single characters and their continuations are added here.
    """
    text = (files("irene_model") / "vocabulary.txt").read_text(encoding="utf-8")
    words = [w for line in text.splitlines() if not line.startswith("#") for w in line.split()]
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    continued = [f"##{c}" for c in characters if c.isalnum()]
    endings = [f"##{e}" for e in ("s", "es", "ed", "ing", "ly", "er", "al", "ic", "y", "ness")]
    return tuple(dict.fromkeys([PAD, UNKNOWN, *characters, *continued, *endings, *words]))


@cache
def _tokenizer() -> Tokenizer:
    ids = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=60))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def encode(texts: Sequence[str | None], *, max_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (B, T) int64 and mask (B, T) bool, T = `max_tokens`; longer texts are cut.

    A missing or blank text has an all-false mask.
    """
    ids = torch.zeros(len(texts), max_tokens, dtype=torch.int64)
    mask = torch.zeros(len(texts), max_tokens, dtype=torch.bool)
    encodings = _tokenizer().encode_batch([text or "" for text in texts])
    for row, encoding in enumerate(encodings):
        tokens = encoding.ids[:max_tokens]
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        mask[row, : len(tokens)] = True
    return ids, mask


def words(text: str, *, max_tokens: int) -> tuple[tuple[str, range], ...]:
    """The words of `text` as they are written, each with the places of its tokens in `encode`.

    A word is what stands between spaces, its punctuation with it. What lies beyond `max_tokens`
    has an empty range; a word cut there has the tokens that are read.
    """
    found = list(re.finditer(r"\S+", text))
    starts = [match.start() for match in found]
    encoding = _tokenizer().encode(text)
    owners = [bisect_right(starts, start) - 1 for start, _ in encoding.offsets[:max_tokens]]
    ends = [bisect_right(owners, index) for index in range(len(found))]
    begins = [0, *ends][: len(found)]
    return tuple(
        (match.group(), range(begin, end))
        for match, begin, end in zip(found, begins, ends, strict=True)
    )
