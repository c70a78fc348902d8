"""How much of the hospital's texts the model can read: words that it knows, and what is cut."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from irene_model.inputs import TextReader
from irene_model.study import Record, TextShape

_AT_ONCE = 1000
_FOREIGN = 0.2  # of the words unknown: another language, or a vocabulary that does not fit
_MUCH_CUT = 0.1  # of the texts
_NEARLY_ALL = 95  # in a hundred texts
_MOST_WINDOWS = 16  # that a study can have
Known = Literal["whole", "pieces", "spelled"]


@dataclass(frozen=True, kw_only=True)
class TextCounts:
    """All texts together. A word is what the tokenizer takes for one, and has a letter.

    whole: words that are one token. spelled: words that are unknown, or taken apart into letters or
    little more, which say nothing until the model has learnt to spell. The others are made of
    pieces. median, long: tokens of the middle text, and of one that is longer than 95 % of all.
    max_tokens, windows: the study's. windows_needed: for 95 % of the texts. read: tokens of one
    text that are read at most. shared: texts whose tokens share places. cut: longer ones than
    `read`. lost: tokens beyond it, of `tokens` in all.
    """

    texts: int
    words: int
    whole: int
    spelled: int
    tokens: int
    median: int
    long: int
    max_tokens: int
    windows: int
    windows_needed: int
    read: int
    shared: int
    cut: int
    lost: int

    @property
    def known(self) -> float:
        """Share of the words that are kept whole; 0 without words."""
        return self.whole / self.words if self.words else 0.0

    @property
    def unknown(self) -> float:
        """Share of the words that are unknown or spelled; 0 without words."""
        return self.spelled / self.words if self.words else 0.0


def count_texts(records: Sequence[Record], reader: TextReader) -> TextCounts:
    """Tokenize all texts as training does, but whole."""
    tokenizer = Tokenizer.from_str(reader.tokenizer.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unknown = getattr(tokenizer.model, "unk_token", None)
    most, read = reader.shape.max_tokens, reader.most_read
    texts = [text for record in records if (text := record.text) and not text.isspace()]
    found: Counter[Known] = Counter()
    lengths: list[int] = []
    for part in _parts(texts):
        for text, encoding in zip(part, tokenizer.encode_batch(part), strict=True):
            lengths.append(len(encoding.ids))
            found.update(_words(text, encoding, unknown))
    length = np.array(lengths or [0])
    middle, long = (int(np.percentile(length, p, method="higher")) for p in (50, _NEARLY_ALL))
    return TextCounts(
        texts=len(texts),
        words=found.total(),
        whole=found["whole"],
        spelled=found["spelled"],
        tokens=int(length.sum()),
        median=middle,
        long=long,
        max_tokens=most,
        windows=reader.shape.windows,
        windows_needed=reader.windows_for(long),
        read=read,
        shared=int((length > most).sum()) if read > most else 0,
        cut=int((length > read).sum()),
        lost=int((length - read).clip(min=0).sum()),
    )


def doubt_words(counts: TextCounts) -> tuple[str, ...]:
    """Texts in words that the study's tokenizer does not have: more than one word in five."""
    if counts.unknown <= _FOREIGN:
        return ()
    return (
        f"text: {counts.unknown:.0%} of the words are unknown to the study's text encoder or split "
        "into letters: the model can hardly read them",
    )


def doubt_length(counts: TextCounts) -> tuple[str, ...]:
    """Texts that are cut: more than one in ten."""
    if counts.cut <= _MUCH_CUT * counts.texts:
        return ()
    return (
        f"text: {counts.cut} of {counts.texts} texts are longer than the {counts.read} tokens that "
        f"the study reads: {counts.lost / counts.tokens:.0%} of all tokens are cut off",
    )


def mend_words(shape: TextShape) -> str:
    """What helps where `doubt_words` has something to say."""
    shipped = shape.encoder.kind == "wordpiece" and shape.vocabulary == "basic"
    clinical = "`text.vocabulary: clinical` if the texts are English, or for " if shipped else ""
    return f"Ask the coordinator for {clinical}a text encoder of your language (`text.encoder`)."


def mend_length(counts: TextCounts) -> str:
    """What helps where `doubt_length` has something to say."""
    if counts.windows_needed <= _MOST_WINDOWS:
        needed = f"`text.windows: {counts.windows_needed}`"
        asked = f"{needed}, which would read 95 % of the texts whole, or for "
    else:
        asked = f"`text.windows: {_MOST_WINDOWS}` and "
    return f"Ask the coordinator for {asked}a larger `text.max_tokens`; or map a shorter text."


def _words(text: str, encoding: Encoding, unknown: str | None) -> list[Known]:
    """What each word is read as."""
    offsets, tokens = encoding.offsets, encoding.tokens  # each access copies the whole list
    pieces: dict[int, list[int]] = {}
    for place, word in enumerate(encoding.word_ids):
        if word is not None:
            pieces.setdefault(word, []).append(place)
    known: list[Known] = []
    for places in pieces.values():
        start, end = offsets[places[0]][0], offsets[places[-1]][1]
        written = text[start:end].strip()
        if not any(letter.isalpha() for letter in written):
            continue
        missing = any(tokens[place] == unknown for place in places)
        # On average two letters a piece or more: "cough" + "s" is known, "d" "y" "s" "p" is not.
        if missing or 1 < len(places) > len(written) / 2:
            known.append("spelled")
        else:
            known.append("whole" if len(places) == 1 else "pieces")
    return known


def _parts(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
