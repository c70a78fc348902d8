"""Clinical text to tokens, and to a frozen encoder's vectors where the study has one.

With nothing to download there is a WordPiece tokenizer over a vocabulary that ships with the
package, `basic` or `clinical`: English and clinical words, then single letters, so that every word
has tokens. Lower-cased, accents stripped, as BERT's uncased tokenizers do.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import Tensor

from irene_model.inputs.text_encoder import FrozenEncoder, find_folder, open_tokenizer
from irene_model.study import TextShape

PAD, UNKNOWN = "[PAD]", "[UNK]"
_VOCABULARIES = {"basic": "vocabulary.txt", "clinical": "clinical_vocabulary.txt"}


@cache
def vocabulary(name: str = "basic") -> tuple[str, ...]:
    """The shipped tokens of `text.vocabulary`; a token's index is its id and [PAD] is 0.

    The files list words; single characters and their continuations are added here.
    """
    text = (files("irene_model.inputs") / _VOCABULARIES[name]).read_text(encoding="utf-8")
    words = [w for line in text.splitlines() if not line.startswith("#") for w in line.split()]
    characters = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    continued = [f"##{c}" for c in characters if c.isalnum()]
    endings = [f"##{e}" for e in ("s", "es", "ed", "ing", "ly", "er", "al", "ic", "y", "ness")]
    return tuple(dict.fromkeys([PAD, UNKNOWN, *characters, *continued, *endings, *words]))


@dataclass(frozen=True, kw_only=True)
class TextReader:
    """How the texts of a study are read; `open` makes one.

    encoder: the frozen one, or None where the model has a table of vectors.
    folder: where the study's files were found, or None where they ship with the package.
    """

    shape: TextShape
    tokenizer: Tokenizer
    encoder: FrozenEncoder | None = None
    folder: Path | None = None

    @classmethod
    def open(cls, shape: TextShape, folders: Mapping[str, Path] | None = None) -> Self:
        """The reader of a study's texts.

        `folders` says where named encoders lie; the others are looked for among what was downloaded
        from the hub before. A missing or different file is a ConfigError.
        """
        if shape.encoder.kind == "wordpiece":
            return cls(shape=shape, tokenizer=_shipped(shape.vocabulary))
        folder = find_folder(shape.encoder, folders or {})
        tokenizer = open_tokenizer(folder, shape)
        frozen = shape.encoder.kind == "frozen"
        encoder = FrozenEncoder(folder, shape) if frozen else None
        return cls(shape=shape, tokenizer=tokenizer, encoder=encoder, folder=folder)

    def tokens(self, texts: Sequence[str | None]) -> tuple[Tensor, Tensor]:
        """Token ids (B, T) int64 and mask (B, T) bool, as `encode` gives them."""
        return encode(texts, max_tokens=self.shape.max_tokens, tokenizer=self.tokenizer)


def encode(
    texts: Sequence[str | None], *, max_tokens: int, tokenizer: Tokenizer | None = None
) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) int64 and mask (B, T) bool, T = `max_tokens`; longer texts are cut.

    A missing or blank text has an all-false mask. `tokenizer` is the shipped one by default.
    """
    ids = torch.zeros(len(texts), max_tokens, dtype=torch.int64)
    mask = torch.zeros(len(texts), max_tokens, dtype=torch.bool)
    # A blank text is no text: an encoder's own tokenizer would give it a start and an end.
    rows = [row for row, text in enumerate(texts) if text and not text.isspace()]
    encodings = (tokenizer or _shipped()).encode_batch([texts[row] or "" for row in rows])
    for row, encoding in zip(rows, encodings, strict=True):
        tokens = encoding.ids[:max_tokens]
        ids[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
        mask[row, : len(tokens)] = True
    return ids, mask


@cache
def _shipped(name: str = "basic") -> Tokenizer:
    ids = {token: index for index, token in enumerate(vocabulary(name))}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=60))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def words(
    text: str, *, max_tokens: int, tokenizer: Tokenizer | None = None
) -> tuple[tuple[str, range], ...]:
    """The words of `text` as they are written, each with the places of its tokens in `encode`.

    A word is what stands between spaces, its punctuation with it. What lies beyond `max_tokens`
    has an empty range; a word cut there has the tokens that are read. An encoder's first and last
    token stand for no word.
    """
    found = list(re.finditer(r"\S+", text))
    starts = [match.start() for match in found]
    places: list[list[int]] = [[] for _ in found]
    encoding = (tokenizer or _shipped()).encode(text)
    for place, (start, end) in enumerate(encoding.offsets[:max_tokens]):
        if end > start:
            places[bisect_right(starts, start) - 1].append(place)
    return tuple(
        (match.group(), range(own[0], own[-1] + 1) if own else range(0))
        for match, own in zip(found, places, strict=True)
    )
