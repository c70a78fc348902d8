"""A replaced image is seen by training wherever it lies and whatever it is called."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.records.dataset import open_dataset
from tests.helpers.hospital_folder import HospitalFolder


def inside(folder: Path) -> Path:
    return folder / "images"


def in_a_linked_folder(folder: Path) -> Path:
    real = folder.parent / "pacs"
    real.mkdir()
    (folder / "images" / "link").symlink_to(real)
    return folder / "images" / "link"


def in_a_linked_root(folder: Path) -> Path:
    (folder / "images").rename(folder.parent / "store")
    (folder / "images").symlink_to(folder.parent / "store")
    return folder / "images"


def outside(folder: Path) -> Path:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    return folder / "images" / ".." / ".." / "elsewhere"


def below_a_hidden_folder(folder: Path) -> Path:
    place = folder / "images" / ".irene"
    place.mkdir()
    return place


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (inside, "a.png"),
        (inside, "IM000001"),
        (inside, "1.2.840.113619.2.55"),
        (inside, "ST0/SE0/IM0"),
        (in_a_linked_folder, "y"),
        (in_a_linked_root, "y.png"),
        (outside, "x"),
        (below_a_hidden_folder, "x.png"),
    ],
)
@pytest.mark.parametrize("keeps_time", [True, False])
def test_a_replaced_image_is_read_again(
    hospital: HospitalFolder, name: str, where: Callable[[Path], Path], keeps_time: bool
) -> None:
    image = where(hospital.folder) / name
    image.parent.mkdir(parents=True, exist_ok=True)
    save(image, left=True)
    times = image.stat()
    hospital.set_cell(
        5, "file", os.path.relpath(image.parent, hospital.folder / "images") + "/" + image.name
    )
    before = np.array(open_dataset(hospital.site, hospital.study).pixels)
    save(image, left=False)
    if keeps_time:
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = np.array(open_dataset(hospital.site, hospital.study).pixels)
    assert is_white(before[5], left=True) and is_white(after[5], left=False)
    np.testing.assert_array_equal(np.delete(before, 5, 0), np.delete(after, 5, 0))


def save(path: Path, *, left: bool) -> None:
    """One half white. Without compression, so that both pictures take the same number of bytes."""
    image = Image.new("L", (20, 20))
    image.paste(255, (0, 0, 10, 20) if left else (10, 0, 20, 20))
    image.save(path, "PNG", compress_level=0)


def is_white(pixels: np.ndarray, *, left: bool) -> bool:  # type: ignore[type-arg]
    """Whether this half is, and the other is not."""
    middle = len(pixels) // 2
    return bool((pixels[middle, 0] == 255) == left and (pixels[middle, -1] == 0) == left)


def test_an_absolute_cell_is_read_again(hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital.configure("columns.image.pattern", "{}")
    rows = hospital.rows()
    for row in rows:
        row["file"] = row["file"] and f"images/{row['file']}"
    save(tmp_path / "z.png", left=True)
    rows[5]["file"] = str(tmp_path / "z.png")
    hospital.write_rows(rows)
    assert is_white(open_dataset(hospital.site, hospital.study).pixels[5], left=True)
    save(tmp_path / "z.png", left=False)
    assert is_white(open_dataset(hospital.site, hospital.study).pixels[5], left=False)


@pytest.mark.parametrize("table", ["encounters.csv", "patients.csv"])
def test_a_table_changed_in_place_with_its_time_kept_is_read_again(
    hospital: HospitalFolder, table: str
) -> None:
    column, cell = ("pneumonia", "1") if table == "encounters.csv" else ("sex", "m")
    tensor = "labels" if table == "encounters.csv" else "sex"
    rows = hospital.rows(table)
    rows[2][column] = {"1": "0", "m": "f"}[cell]
    hospital.write_rows(rows, table)
    times = (hospital.folder / table).stat()
    first = open_dataset(hospital.site, hospital.study).tensors[tensor]
    rows[2][column] = cell
    hospital.write_rows(rows, table)
    os.utime(hospital.folder / table, ns=(times.st_atime_ns, times.st_mtime_ns))
    second = open_dataset(hospital.site, hospital.study).tensors[tensor]
    assert first.shape == second.shape and not first.equal(second)
