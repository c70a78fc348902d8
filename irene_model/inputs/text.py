"""Clinical text to tokens, and to a frozen encoder's vectors where the study has one.

With nothing to download there is a WordPiece tokenizer over a vocabulary that ships with the
package, `basic` or `clinical`: English and clinical words, then single letters, so that every word
has tokens. Lower-cased, accents stripped, as BERT's uncased tokenizers do.
"""

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Self

import torch
from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import Tensor

from irene_model.inputs.text_encoder import (
    ABSENT,
    FrozenEncoder,
    find_folder,
    open_tokenizer,
    overlap,
)
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
        """Token ids (B, T) or (B, T, N) int64 and mask (B, T) bool, as `encode` gives them."""
        return encode(
            texts,
            max_tokens=self.shape.max_tokens,
            windows=self.shape.windows,
            tokenizer=self.tokenizer,
        )

    @property
    def most_read(self) -> int:
        """Tokens of one text that are read, an encoder's first and last one included."""
        return self.shape.max_tokens + (self.shape.windows - 1) * self._further

    def windows_for(self, tokens: int) -> int:
        """How many windows read a text of so many tokens whole."""
        return 1 + math.ceil(max(0, tokens - self.shape.max_tokens) / self._further)

    @property
    def _further(self) -> int:
        """Tokens of a text that each window but the first adds."""
        twice = 0 if self.encoder is None else overlap(self.tokenizer, self.shape)
        return self.shape.max_tokens - twice


def encode(
    texts: Sequence[str | None],
    *,
    max_tokens: int,
    tokenizer: Tokenizer | None = None,
    windows: int = 1,
) -> tuple[Tensor, Tensor]:
    """Token ids (B, T) int64 and mask (B, T) bool, T = `max_tokens`; longer texts are cut.

    With N = `windows` above 1 ids are (B, T, N): of a text that fills n windows, n neighbouring
    tokens share a place, so that a short one is read as ever; what is not there is `ABSENT`.
    A missing or blank text has an all-false mask. `tokenizer` is the shipped one by default.
    """
    ids = torch.full((len(texts), max_tokens, windows), ABSENT, dtype=torch.int64)
    mask = torch.zeros(len(texts), max_tokens, dtype=torch.bool)
    # A blank text is no text: an encoder's own tokenizer would give it a start and an end.
    rows = [row for row, text in enumerate(texts) if text and not text.isspace()]
    encodings = (tokenizer or _shipped()).encode_batch([texts[row] or "" for row in rows])
    for row, encoding in zip(rows, encodings, strict=True):
        tokens = [each for window in _windows(encoding, windows) for each in window.ids]
        tokens = tokens[: max_tokens * windows]
        together = math.ceil(len(tokens) / max_tokens)
        for place, start in enumerate(range(0, len(tokens), together or 1)):
            shared = tokens[start : start + together]
            ids[row, place, : len(shared)] = torch.tensor(shared, dtype=torch.int64)
            mask[row, place] = True
    return (ids if windows > 1 else ids[..., 0].clamp(min=0)), mask


def _windows(encoding: Encoding, windows: int) -> list[Encoding]:
    """What is read of a text, in the parts that an encoder reads one by one."""
    return [encoding, *encoding.overflowing[: windows - 1]] if windows > 1 else [encoding]


@cache
def _shipped(name: str = "basic") -> Tokenizer:
    ids = {token: index for index, token in enumerate(vocabulary(name))}
    tokenizer = Tokenizer(WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=60))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def words(
    text: str, *, max_tokens: int, tokenizer: Tokenizer | None = None, windows: int = 1
) -> tuple[tuple[str, Mapping[int, float]], ...]:
    """The words of `text` as they are written, each with the places of its tokens in `encode`.

    Beside each place is the share of it that is the word's: 1 unless `windows` lets tokens share
    places. A word is what stands between spaces, its punctuation with it. What lies beyond
    `max_tokens` has no place; a word cut there has the tokens that are read. An encoder's first and
    last token stand for no word.
    """
    found = list(re.finditer(r"\S+", text))
    starts = [match.start() for match in found]
    places: list[Counter[int]] = [Counter() for _ in found]
    parts = _windows((tokenizer or _shipped()).encode(text), windows)
    offsets = [each for part in parts for each in part.offsets][: max_tokens * windows]
    together = math.ceil(len(offsets) / max_tokens)
    tokens = Counter(number // together for number in range(len(offsets)))
    for number, (start, end) in enumerate(offsets):
        if end > start:
            places[bisect_right(starts, start) - 1][number // together] += 1
    return tuple(
        (match.group(), {place: count / tokens[place] for place, count in own.items()})
        for match, own in zip(found, places, strict=True)
    )
