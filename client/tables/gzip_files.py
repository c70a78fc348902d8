"""A file that gzip has compressed, unpacked up to a bound."""

import gzip
import zlib
from pathlib import Path

from irene_model.errors import DataError

MOST_UNPACKED = 512 << 20


def unpacked(path: Path, shown: str) -> bytes:
    """What the file holds; a few bytes may unpack to all memory, so no more than the bound is.

    Raises:
        DataError: it is damaged, cut off, or unpacks to more than `MOST_UNPACKED` bytes.
    """
    try:
        with gzip.open(path) as file:
            content = file.read(MOST_UNPACKED + 1)
    except (OSError, EOFError, zlib.error):
        raise DataError(
            f"{shown}: is cut off, damaged, or not compressed by gzip; copy or export it again"
        ) from None
    if len(content) > MOST_UNPACKED:
        raise DataError(
            f"{shown}: unpacks to more than {MOST_UNPACKED >> 20} MiB; unpack it and name the file "
            "itself, or export Parquet"
        )
    return content
