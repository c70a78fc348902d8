"""The files that a part of site.yaml names."""

from collections.abc import Iterator, Mapping
from pathlib import Path


def paths_in(document: object) -> Iterator[Path]:
    """Every path in plain values, however deep, in order."""
    if isinstance(document, Path):
        yield document
    elif isinstance(document, Mapping):
        for each in document.values():
            yield from paths_in(each)
    elif isinstance(document, tuple | list):
        for each in document:
            yield from paths_in(each)
