"""Times as most exports write them to seconds, a part of a table at once.

Only forms that `client.cells.read_moment` reads alike are read here, without a zone and with four
digits of the year; whatever else a cell holds is left to it, and so is every refusal.
"""

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.int64]
NOT_READ = np.iinfo(np.int64).min
_EPOCH = datetime(1970, 1, 1)
# Shape of a cell -> how its first letters are read, and how many these are; 0: all of them.
_FORMS = {
    r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:\d{2}(\.\d+)?$": ("%Y-%m-%d %H:%M:%S", 19),
    r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}$": ("%Y-%m-%d %H:%M", 0),
    r"^\d{4}-\d{2}-\d{2}$": ("%Y-%m-%d", 0),
    r"^\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}:\d{2}$": ("%d.%m.%Y %H:%M:%S", 0),
    r"^\d{2}\.\d{2}\.\d{4} \d{2}:\d{2}$": ("%d.%m.%Y %H:%M", 0),
}


def seconds_of(cells: Any) -> Seconds:
    """Seconds since 1970 of each cell of an Arrow array of text; NOT_READ where it says none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    found = np.full(len(cells), NOT_READ, np.int64)
    left = np.arange(len(cells))
    for shape, (form, letters) in _FORMS.items():
        fits = pc.match_substring_regex(cells, shape).to_numpy(zero_copy_only=False)
        if fits.any():
            said = pc.replace_substring(cells.filter(pa.array(fits)), "T", " ")
            if letters:
                said = pc.utf8_slice_codeunits(said, 0, letters)
            read = pc.strptime(said, format=form, unit="s", error_is_null=True)
            found[left[fits]] = pc.fill_null(read.cast(pa.int64()), NOT_READ).to_numpy()
            left, cells = left[~fits], cells.filter(pa.array(~fits))
        if not len(cells):
            break
    return found


def seconds_from(moment: datetime | None) -> int:
    """The same of a time that was read on its own."""
    return NOT_READ if moment is None else int((moment - _EPOCH).total_seconds())
