"""All radiographs of a hospital, each decoded once as the model will see it."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.check.twins import BITS, fingerprint
from client.records import PlacedRecord, load_image
from irene_model.inputs import Pixels
from irene_model.study import SPLITS, Record, Split

Progress = Callable[[int, int], None]  # images decoded, images in all
ON_THE_SHEET = 24
"""Radiographs that are kept for people to look at."""


@dataclass(frozen=True, kw_only=True)
class Films:
    """What the radiographs show together.

    blank: how many hold at most two grey levels. records, prints: the others' records and
    fingerprints (N, 512), in one order. sheet: split and pixels of some, for people to look at.
    """

    blank: int
    records: Sequence[Record]
    prints: npt.NDArray[np.bool_]
    sheet: Sequence[tuple[Split, Pixels]]

    def doubts(self) -> tuple[str, ...]:
        """What looks wrong in them one by one."""
        if not self.blank:
            return ()
        return (f"{self.blank} images hold at most two grey levels: are they blank?",)


def look_at_films(
    placed: Sequence[PlacedRecord], size: int, progress: Progress | None = None
) -> Films:
    """Decode each record's image once, as (size, size).

    Raises:
        DataError: as `load_image` does.
    """
    with_image = [each for each in placed if each.record.image_path is not None]
    chosen = set(choose([each.record for each in with_image], ON_THE_SHEET))

    def look(row: int) -> tuple[bool, npt.NDArray[np.bool_], Pixels | None]:
        each = with_image[row]
        assert each.record.image_path is not None
        pixels = load_image(each.record.image_path, size, shown=f"the image of {each.place}")
        # A blank image has one level of its own and the border's black.
        blank = len(np.unique(pixels)) <= 2
        return blank, fingerprint(pixels), pixels if row in chosen else None

    records, prints, sheet = [], [], []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for row, (blank, print_, pixels) in enumerate(pool.map(look, range(len(with_image)))):
            record = with_image[row].record
            if not blank:
                records.append(record)
                prints.append(print_)
            if pixels is not None:
                sheet.append((record.split, pixels))
            if progress is not None:
                progress(row + 1, len(with_image))
    return Films(
        blank=len(with_image) - len(records),
        records=records,
        prints=np.array(prints, np.bool_).reshape(-1, BITS),
        sheet=sorted(sheet, key=lambda film: SPLITS.index(film[0])),
    )


def choose(records: Sequence[Record], most: int) -> list[int]:
    """At most `most` rows, as evenly over the splits as they allow, one a patient where possible.

    The order is that of a hash: the same radiographs every time, and not the first of the table.
    """

    def drawn(row: int) -> bytes:
        return hashlib.sha256(records[row].record_id.encode()).digest()

    queues: dict[Split, list[int]] = {split: [] for split in SPLITS}
    later: dict[Split, list[int]] = {split: [] for split in SPLITS}
    seen: set[str] = set()
    for row in sorted(range(len(records)), key=drawn):
        record = records[row]
        (later if record.patient_id in seen else queues)[record.split].append(row)
        seen.add(record.patient_id)
    waiting = [queues[split] + later[split] for split in SPLITS]
    rounds = (row for turn in range(most) for rows in waiting for row in rows[turn : turn + 1])
    return [row for row, _ in zip(rounds, range(most), strict=False)]
