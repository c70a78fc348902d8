"""How much of the hospital's texts the model can read: words that it knows, and what is cut."""

from collections.abc import Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from irene_model.inputs import TextReader
from irene_model.study import Record

_AT_ONCE = 1000
_FOREIGN = 0.4  # of the words unknown: another language, or a vocabulary that does not fit
_MUCH_CUT = 0.25  # of the texts


@dataclass(frozen=True, kw_only=True)
class TextCounts:
    """All texts together. A word is what the tokenizer takes for one, and has a letter.

    spelled: words that are unknown, or taken apart into letters or little more, which say nothing
    until the model has learnt to spell. cut: texts longer than the study's `max_tokens`.
    lost: tokens beyond it, of `tokens` in all.
    """

    texts: int
    words: int
    spelled: int
    tokens: int
    max_tokens: int
    cut: int
    lost: int

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
    most = reader.shape.max_tokens
    texts = [text for record in records if (text := record.text) and not text.isspace()]
    words = spelled = tokens = cut = lost = 0
    for part in _parts(texts):
        for text, encoding in zip(part, tokenizer.encode_batch(part), strict=True):
            length = len(encoding.ids)
            tokens, cut, lost = tokens + length, cut + (length > most), lost + max(0, length - most)
            known = _words(text, encoding, unknown)
            words, spelled = words + len(known), spelled + known.count(False)
    return TextCounts(
        texts=len(texts),
        words=words,
        spelled=spelled,
        tokens=tokens,
        max_tokens=most,
        cut=cut,
        lost=lost,
    )


def doubt_words(counts: TextCounts) -> tuple[str, ...]:
    """Texts in words that the study's tokenizer does not have."""
    if counts.unknown <= _FOREIGN:
        return ()
    return (
        f"text: {counts.unknown:.0%} of the words are unknown to the study's text encoder or split "
        "into letters: the model can hardly read them",
    )


def doubt_length(counts: TextCounts) -> tuple[str, ...]:
    """Texts that are cut."""
    if counts.cut <= _MUCH_CUT * counts.texts:
        return ()
    return (
        f"text: {counts.cut} of {counts.texts} texts are longer than the study's "
        f"{counts.max_tokens} tokens: {counts.lost / counts.tokens:.0%} of all tokens are cut off",
    )


def _words(text: str, encoding: Encoding, unknown: str | None) -> list[bool]:
    """For each word whether it is known."""
    offsets, tokens = encoding.offsets, encoding.tokens  # each access copies the whole list
    pieces: dict[int, list[int]] = {}
    for place, word in enumerate(encoding.word_ids):
        if word is not None:
            pieces.setdefault(word, []).append(place)
    known = []
    for places in pieces.values():
        start, end = offsets[places[0]][0], offsets[places[-1]][1]
        written = text[start:end].strip()
        if not any(letter.isalpha() for letter in written):
            continue
        missing = any(tokens[place] == unknown for place in places)
        # On average two letters a piece or more: "cough" + "s" is known, "d" "y" "s" "p" is not.
        known.append(not missing and (len(places) == 1 or len(written) >= 2 * len(places)))
    return known


def _parts(texts: Sequence[str]) -> list[list[str]]:
    return [list(texts[start : start + _AT_ONCE]) for start in range(0, len(texts), _AT_ONCE)]
