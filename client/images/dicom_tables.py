"""DICOM's tables of values (modality, VOI): an entry for each stored value from a first one on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from client.images.dicom_file import numbers

_ALL_16_BITS = 65536  # written as 0


@dataclass(frozen=True, kw_only=True)
class ValueTable:
    """entries: what `first`, `first` + 1, ... become; values beyond take the nearest end's."""

    first: int
    entries: npt.NDArray[np.float32]

    @property
    def last(self) -> int:
        """The last value that has an entry."""
        return self.first + len(self.entries) - 1

    def apply(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """The entries of all values, rounded."""
        places = np.rint(values.astype(np.float64) - self.first)
        return self.entries[places.clip(0, len(self.entries) - 1).astype(np.int64)]


def read_table(dataset: Any, item: Any) -> ValueTable | None:
    """The table of a sequence's item; None where it is damaged or has one level."""
    descriptor = numbers(item, "LUTDescriptor")
    if len(descriptor) != 3:
        return None
    count, first = int(descriptor[0]) or _ALL_16_BITS, int(descriptor[1])
    if first >= _ALL_16_BITS // 2 and _is_signed(dataset):
        first -= _ALL_16_BITS
    entries = _entries(dataset, item, count)
    if entries is None or len(entries) < count or count < 2:
        return None
    entries = entries[:count]
    return None if entries.min() == entries.max() else ValueTable(first=first, entries=entries)


def _is_signed(dataset: Any) -> bool:
    """Whether stored values are signed, and with them a table's first one."""
    return numbers(dataset, "PixelRepresentation") == (1.0,)


def _entries(dataset: Any, item: Any, count: int) -> npt.NDArray[np.float32] | None:
    try:
        data = item.get("LUTData")
    except Exception:  # a field is parsed when it is first asked for
        return None
    if isinstance(data, bytes):
        order = ">" if dataset.original_encoding[1] is False else "<"
        depth = "u1" if len(data) in (count, count + 1) else f"{order}u2"
        whole = len(data) // np.dtype(depth).itemsize * np.dtype(depth).itemsize
        return np.frombuffer(data[:whole], depth).astype(np.float32)
    found = numbers(item, "LUTData")
    return np.array(found, np.float32) if found else None
