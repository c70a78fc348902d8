"""All recordings of a site as patches on its disk, for the cache of its data set."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from client.cache import FileRead, file_of
from client.images import refusal
from client.sounds.many import RecordSounds, read_sounds
from client.sounds.recordings import Recording
from irene_model.inputs import sound_patches
from irene_model.modalities import SOUNDS
from irene_model.study import SoundShape


def keep_sounds(
    work: Path, records: Sequence[RecordSounds], count: int, shape: SoundShape
) -> tuple[npt.NDArray[np.bool_], list[FileRead]]:
    """Write the patches (count, N, F) into `work`; returns which are there (count, N), and files.

    Raises:
        DataError: some can't be read.
    """
    patches = np.lib.format.open_memmap(
        work / file_of(SOUNDS.name),
        mode="w+",
        dtype=np.uint8,
        shape=(count, shape.tokens, shape.width),
    )
    there = np.zeros((count, shape.tokens), np.bool_)
    paths = [str(path) for record in records for path in record.paths.values() if path.is_file()]
    with ThreadPoolExecutor() as pool:  # before they are read: see `FileRead.of`
        files = list(pool.map(FileRead.of, dict.fromkeys(paths)))

    def keep(record: RecordSounds, found: Mapping[str, Recording]) -> None:
        waves = {position: each.wave for position, each in found.items()}
        patches[record.row], there[record.row] = sound_patches(waves, shape)

    _, bad = read_sounds(records, shape, keep)
    if bad:
        raise refusal(bad, "recording")
    patches.flush()
    return there, files
