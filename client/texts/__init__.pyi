from .identifiers import count_identifiers, doubt_identifiers
from .leakage import Naming, count_naming, doubt_naming
from .legibility import (
    TextCounts,
    count_texts,
    doubt_length,
    doubt_words,
    mend_length,
    mend_words,
)

__all__ = [
    "Naming",
    "TextCounts",
    "count_identifiers",
    "count_naming",
    "count_texts",
    "doubt_identifiers",
    "doubt_length",
    "doubt_naming",
    "doubt_words",
    "mend_length",
    "mend_words",
]
