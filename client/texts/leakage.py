"""Does the text say what the model shall find out? Counted; no word of a text is kept or told."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irene_model.study import Record

_NAMED = 0.2  # of the positive records' texts, and twice as often as in the negative ones'
_TELLS, _BETRAYS_NOT = 0.8, 0.05  # a word in so many positive texts, and in so few negative ones
_FEWEST = 10  # texts of a kind, for a word to be more than chance
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class Naming:
    """One label in the texts of its annotated records.

    named_positive of the `positive` texts name the label itself, named_negative of the `negative`
    ones, a negation counting as well. telling: other words that nearly all positive texts hold and
    nearly no negative one.
    """

    positive: int
    named_positive: int
    negative: int
    named_negative: int
    telling: int


def count_naming(labels: Sequence[str], records: Sequence[Record]) -> dict[str, Naming]:
    """How often each label stands in the texts."""
    read = [(record.labels, _words(record.text)) for record in records if record.text]
    return {
        label: _naming(
            label,
            [words for labels, words in read if labels.get(label) == 1],
            [words for labels, words in read if labels.get(label) == 0],
        )
        for label in labels
    }


def doubt_naming(namings: Mapping[str, Naming]) -> tuple[str, ...]:
    """The labels that the texts give away."""
    return tuple(
        sentence for label, naming in namings.items() for sentence in _sentences(label, naming)
    )


def names_label(label: str, text: str) -> bool:
    """Whether all words of `label` stand in `text`, with other endings too, as Pneumonie."""
    return _names(_stems(label), _words(text))


def _sentences(label: str, naming: Naming) -> list[str]:
    said = []
    rate = naming.named_positive / max(1, naming.positive)
    if rate >= _NAMED and rate >= 2 * naming.named_negative / max(1, naming.negative):
        said.append(
            f"label {label}: the texts of {naming.named_positive} of {naming.positive} positive "
            f"records name it, and of {naming.named_negative} of {naming.negative} negative ones: "
            "a model would read the answer"
        )
    elif naming.telling:
        said.append(
            f"label {label}: {naming.telling} words stand in at least {_TELLS:.0%} of the positive "
            f"records' texts and in at most {_BETRAYS_NOT:.0%} of the negative ones': were the "
            "texts written after the diagnosis?"
        )
    return said


def _naming(
    label: str, positive: Sequence[frozenset[str]], negative: Sequence[frozenset[str]]
) -> Naming:
    stems = _stems(label)
    return Naming(
        positive=len(positive),
        named_positive=sum(_names(stems, words) for words in positive),
        negative=len(negative),
        named_negative=sum(_names(stems, words) for words in negative),
        telling=_telling(positive, negative),
    )


def _telling(positive: Sequence[frozenset[str]], negative: Sequence[frozenset[str]]) -> int:
    if min(len(positive), len(negative)) < _FEWEST:
        return 0
    among = Counter(word for words in positive for word in words)
    often = {word for word, count in among.items() if count >= _TELLS * len(positive)}
    rare = Counter(word for words in negative for word in words if word in often)
    return sum(rare[word] <= _BETRAYS_NOT * len(negative) for word in often)


def _words(text: str) -> frozenset[str]:
    """The words of `text`, without case and accents."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    return frozenset(_WORD.findall("".join(c for c in bare if not unicodedata.combining(c))))


def _stems(label: str) -> tuple[str, ...]:
    """The words of a label without their last letters, which differ by language and number."""
    words = sorted(_words(label.replace("_", " ")))
    return tuple(word if len(word) < 6 else word[: max(5, len(word) - 2)] for word in words)


def _names(stems: Sequence[str], words: frozenset[str]) -> bool:
    return bool(stems) and all(
        stem in words or (len(stem) >= 5 and any(word.startswith(stem) for word in words))
        for stem in stems
    )
