"""All recordings of a site, by all cores, and all that can't be read by cause."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from client.images import BadImages, by_cause
from client.sounds.recordings import Recording, SoundProblem, read_recording
from irene_model.study import SoundShape

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RecordSounds:
    """A record's recordings by position, its number, and where it stands in the table."""

    row: int
    place: str
    paths: Mapping[str, Path] = field(repr=False)


def read_sounds(
    records: Sequence[RecordSounds],
    shape: SoundShape,
    use: Callable[[RecordSounds, Mapping[str, Recording]], T],
) -> tuple[list[T], tuple[BadImages, ...]]:
    """What `use`, in a thread of many, makes of each record whose recordings can all be read, and
    the others by cause. A record's samples are dropped after it.
    """

    def read(record: RecordSounds) -> tuple[list[T], list[tuple[str, str]]]:
        found, bad = {}, []
        for position, path in record.paths.items():
            try:
                found[position] = read_recording(path, shape)
            except SoundProblem as problem:
                bad.append((record.place, str(problem)))
        return ([] if bad else [use(record, found)]), bad

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        done = list(pool.map(read, records))
    return [each for used, _ in done for each in used], by_cause(
        [b for _, bad in done for b in bad]
    )
