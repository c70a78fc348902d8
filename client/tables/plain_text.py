"""Whether a CSV file is so plain that it may be read in parts, by a reader that minds less.

Plain is what an export of millions of rows is like: one encoding, a row on each line and none of
them empty, quotes that begin and end a cell. What is not, is left to `read_csv`, which tells what
is wrong with it or reads it as it is meant.
"""

import codecs
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

PART = 8 << 20  # bytes that are looked at together
_TAIL = 4096
_ENCODINGS = ("utf-8", "iso8859-1", "iso8859-15", "cp1252")
_SEPARATORS = ",;\t|"
_QUOTE, _NEW_LINE, _RETURN = b'"\n\r'


class OddTable(Exception):  # noqa: N818  # never leaves this project's own reading
    """The table has to be read as a whole."""


def plain_lines(path: Path, encoding: str, separator: str) -> int:
    """How many lines the file has, empty ones at its end aside.

    Raises:
        OddTable: it is not plain.
    """
    try:
        name = codecs.lookup(encoding).name
    except (LookupError, ValueError):
        raise OddTable from None
    if name not in _ENCODINGS or separator not in _SEPARATORS:
        raise OddTable
    lines, special, is_utf8, part = 0, False, True, b""
    for part in _parts(path):
        _refuse_odd_signs(part, separator)
        if not part.isascii():
            special = True
            is_utf8 = is_utf8 and _is_text(part, "utf-8")
            if not _is_text(part, name):
                raise OddTable
        lines += part.count(b"\n")
    lines += bool(part)  # the last line, which has no end here
    if name != "utf-8" and special and is_utf8:  # rather declared wrongly
        raise OddTable
    return lines


def _parts(path: Path) -> Iterator[bytes]:
    """The file, cut after line ends; without empty lines at its end."""
    left = b""
    with path.open("rb") as file:
        remaining = _end(file)
        while remaining > 0:
            read = file.read(min(PART, remaining))
            if not read:  # it was cut off meanwhile
                raise OddTable
            remaining -= len(read)
            whole, end, left = (left + read).rpartition(b"\n")
            if len(left) > PART:
                raise OddTable
            yield whole + end
    yield left


def _end(file: BinaryIO) -> int:
    """Where the last line with anything in it ends."""
    size = file.seek(0, os.SEEK_END)
    file.seek(-min(size, _TAIL), os.SEEK_END)
    tail = file.read()
    file.seek(0)
    return size - (len(tail) - len(tail.rstrip(b"\r\n")))


def _is_text(part: bytes, encoding: str) -> bool:
    try:
        part.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_odd_signs(part: bytes, separator: str) -> None:
    returns = part.count(b"\r")
    if (
        b"\0" in part
        or b"\x1a" in part
        or part.startswith((b"\n", b"\r"))
        or b"\n\n" in part
        or (returns and (returns != part.count(b"\r\n") or b"\n\r\n" in part))
    ):
        raise OddTable
    if b'"' in part and not _quotes_enclose_cells(np.frombuffer(part, np.uint8), ord(separator)):
        raise OddTable


def _quotes_enclose_cells(signs: npt.NDArray[np.uint8], separator: int) -> bool:
    """Whether each quote opens or closes a cell, or stands twice within one, on one line."""
    at = np.flatnonzero(signs == _QUOTE)
    if len(at) % 2:
        return False
    opening, closing = at[::2], at[1::2]
    # A quote that closes where the next one opens is one quote, written twice.
    twice = closing[:-1] + 1 == opening[1:]
    begins, ends = opening[np.r_[True, ~twice]], closing[np.r_[~twice, True]]
    edges = np.array([separator, _NEW_LINE, _RETURN], np.uint8)
    before, after = signs[begins[begins > 0] - 1], signs[ends[ends + 1 < len(signs)] + 1]
    if not (np.isin(before, edges).all() and np.isin(after, edges).all()):
        return False
    new_lines = np.flatnonzero(signs == _NEW_LINE)
    return bool((np.searchsorted(new_lines, begins) == np.searchsorted(new_lines, ends)).all())
