"""What a data set holds open: a process may keep those of a thousand sites."""

from pathlib import Path

import numpy as np
import pytest

from client.cache.pixels import PIXELS
from client.records.dataset import open_dataset
from tests.helpers.hospital_folder import write_hospital


def held() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except OSError:  # the listing's own
            continue
    return found


def test_no_file_is_held_open_and_the_pixels_are_those_of_the_file(tmp_path: Path) -> None:
    hospital = write_hospital(tmp_path / "a", seed=1)
    dataset = open_dataset(hospital.site, hospital.study)
    assert not [path for path in held() if path.startswith(str(tmp_path))]
    (file,) = tmp_path.rglob(PIXELS)
    assert np.array_equal(dataset.pixels, np.load(file))
    assert dataset.pixels.any()
    with pytest.raises(ValueError, match="read-only"):
        dataset.pixels[:] = 0
    maps = Path("/proc/self/maps").read_text()
    assert str(file) in maps, "it was read and not mapped"
    file.unlink()
    assert dataset.pixels.any()
