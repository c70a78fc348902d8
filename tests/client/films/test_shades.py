"""Films of a few greys, or of black and white alone, are told in whatever file they come."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.check.quality import inspect
from client.films.look import _FEW_SHADES
from client.images.files import read_radiograph
from tests.client.images.test_containers import CONTAINERS, Write, deep, dicom, picture
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.phantom import CHEST, U8


def greys(count: int) -> np.ndarray:  # type: ignore[type-arg]
    """The chest in so many greys, from black to white."""
    return np.asarray(np.floor(CHEST * count * 0.999) * (255 // (count - 1)), np.uint8)


LARGE = np.kron(greys(2), np.ones((5, 5), np.uint8))
FLAT: dict[str, Write] = {
    "1 bit, dithered": picture(Image.fromarray(U8).convert("1")),
    "1 bit TIFF": picture(Image.fromarray(U8).convert("1"), "TIFF"),
    "black and white, JPEG": picture(Image.fromarray(LARGE), "JPEG", quality=70),
    "dithered, JPEG": picture(Image.fromarray(U8).convert("1").convert("L"), "JPEG"),
    "2 greys, DICOM": dicom(greys(2)),
    "4 greys, BMP": picture(Image.fromarray(greys(4)), "BMP"),
    "8 greys, 16 bits": deep(*[greys(8).astype(np.uint16) * 257] * 3),
    "8 greys, DICOM of 12 bits": dicom(greys(8).astype(np.uint16) * 16),
    "nearly constant": picture(Image.fromarray((120 + 4 * CHEST).astype(np.uint8))),
    "a speck in a field": dicom(
        np.where(np.arange(11520) == 7, 9, 8).reshape(120, 96).astype("u2")
    ),
}


@pytest.mark.parametrize("name", sorted(FLAT))
def test_few_shades_are_counted(name: str, tmp_path: Path) -> None:
    FLAT[name](tmp_path / "a")
    assert read_radiograph(tmp_path / "a", 48).shades <= _FEW_SHADES


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_a_radiograph_has_many_in_every_container(name: str, tmp_path: Path) -> None:
    CONTAINERS[name](tmp_path / "a")
    assert read_radiograph(tmp_path / "a", 48).shades >= 2 * _FEW_SHADES


def test_the_check_tells_how_many(hospital: HospitalFolder) -> None:
    for name in ("1.png", "5.png"):
        FLAT["1 bit, dithered"](hospital.folder / "images" / name)
    report = inspect(hospital.site, hospital.study)
    (doubt,) = (d for d in report.doubts if "shades of grey" in d.sentence)
    assert doubt.sentence.startswith("2 images hold a few shades of grey, or black and white alone")
    assert "`exclude`" in doubt.mend and report.verdict == "ready with warnings"
