"""Which radiographs people look at: few of many, the same every time."""

import hashlib
from collections.abc import Sequence

from irene_model.study import SPLITS, Record, Split

ON_THE_SHEET = 24
"""Radiographs that are kept for people to look at."""


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
