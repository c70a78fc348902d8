"""The values of a long table as they are written: a sign, where there is one, and a number."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from client.cells import read_lab, with_comparator
from client.columns.coded import Coded, CodedColumn

_GAP = "\x1f"  # ASCII's sign between units


def with_signs(values: CodedColumn, signs: CodedColumn) -> CodedColumn:
    """The column of values, each with the sign (<, >) that stands in another column."""
    width = len(signs.cells.words)
    pairs, pair = np.unique(
        values.cells.codes * np.int64(width) + signs.cells.codes, return_inverse=True
    )
    is_word = [values.numbers.word(word) is not None for word in values.cells.words]
    known, known_signs = values.known_words(), signs.known_words()
    both = [divmod(each, width) for each in pairs.tolist()]
    # As one column, so that a sign that is none is refused with its place.
    joined = ["" if is_word[v] else f"{known[v]}{_GAP}{known_signs[s]}" for v, s in both]
    column = replace(signs, cells=Coded(words=joined, codes=pair.astype(np.int32)))
    read = column.values(lambda said: with_comparator(*said.rpartition(_GAP)[::2]))
    words = [
        values.cells.words[v] if is_word[v] else said
        for (v, _), said in zip(both, read, strict=True)
    ]
    return replace(values, cells=column.cells.spelt(words))


def measured_in(values: CodedColumn) -> npt.NDArray[np.float64]:
    """Each row's value in its own unit; NaN where there is none, infinite beyond detection."""
    read = values.values(values.as_numbers(read_lab))
    return np.array([np.nan if value is None else value for value in read])[values.cells.codes]
