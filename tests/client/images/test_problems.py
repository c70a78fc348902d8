"""Images that can't be read: the cause in words, all of a site as one, and nothing of a file."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from client.images.files import load_image
from client.images.many import ImageFile, read_radiographs
from client.images.names import on_disk
from client.images.problems import BadImages, by_cause, refusal
from irene_model.errors import DataError
from tests.helpers.phantom import U8, U12, encoded, table, write_dicom

Spoil = Callable[[Path], object]


def dicom(**fields: Any) -> Spoil:
    return lambda path: write_dicom(path, PatientID="SECRET", **fields)


def bomb(path: Path) -> None:
    content = write_dicom(path, syntax=DeflatedExplicitVRLittleEndian).read_bytes()
    body = 144 + int.from_bytes(content[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = b"\x09\x00\x01\x10OB\0\0" + (80 << 20).to_bytes(4, "little")
    packed = packer.compress(header) + packer.compress(bytes(80 << 20)) + packer.flush()
    path.write_bytes(content[:body] + packed)


def slope_of_words(path: Path) -> None:
    content = write_dicom(path, RescaleSlope="1.5000", RescaleIntercept=0).read_bytes()
    path.write_bytes(content.replace(b"1.5000", b"SECRET"))


def cut(path: Path) -> None:
    content = write_dicom(path).read_bytes()
    path.write_bytes(content[: len(content) // 2])


CAUSES: dict[str, tuple[Spoil, str]] = {
    "no photometric": (dicom(PhotometricInterpretation=None), "nobody can say whether white is"),
    "empty photometric": (dicom(PhotometricInterpretation=""), "missing or empty"),
    "odd photometric": (dicom(PhotometricInterpretation="SECRET"), "is none of MONOCHROME1"),
    "no rows": (dicom(Rows=None), "field Rows is missing or 0"),
    "no columns": (dicom(Columns=0), "field Columns is missing or 0"),
    "frames": (dicom(NumberOfFrames=2, PixelData=U12.tobytes() * 2), "holds several frames"),
    "no pixels": (dicom(PixelData=None), r"holds no image \(PixelData\)"),
    "empty pixels": (dicom(PixelData=b""), "PixelData is empty"),
    "short pixels": (dicom(PixelData=U12.tobytes()[:99]), "PixelData is shorter than Rows"),
    "bits": (dicom(BitsAllocated=12), "BitsAllocated is missing or none of 8, 16 and 32"),
    "slope": (slope_of_words, "RescaleSlope is no number"),
    "table": (dicom(ModalityLUTSequence=table(np.arange(1))), "ModalityLUTSequence"),
    "palette": (
        lambda p: write_dicom(p, U8, PhotometricInterpretation="PALETTE COLOR"),
        "palette is missing or damaged",
    ),
    "colours": (
        lambda p: write_dicom(
            p,
            np.dstack([U8, U8, 255 - U8]),
            PhotometricInterpretation="RGB",
            PlanarConfiguration=0,
        ),
        r"is in colour \(RGB\), expected a radiograph's grey; export it as MONOCHROME2",
    ),
    "one coloured mark": (
        lambda p: write_dicom(
            p,
            np.dstack([U8, U8, np.where(np.eye(*U8.shape) > 0, 255 - U8, U8)]),
            PhotometricInterpretation="RGB",
            PlanarConfiguration=0,
        ),
        r"is in colour \(RGB\)",
    ),
    "huge": (dicom(Rows=60000, Columns=60000), "more than 100 million pixels"),
    "bomb": (bomb, "unpacks to far more than a radiograph's size"),
    "cut DICOM": (cut, "cut off"),
    "empty file": (lambda p: p.write_bytes(b""), "the file is empty"),
    "web page": (
        lambda p: p.write_text("<html>SECRET"),
        "is a web page or XML, perhaps of a login",
    ),
    "frames of a PNG": (
        lambda p: p.write_bytes(
            encoded(
                Image.fromarray(U8),
                "PNG",
                save_all=True,
                append_images=[Image.fromarray(255 - U8)],
            )
        ),
        "holds several frames or pages",
    ),
    "transparent": (
        lambda p: p.write_bytes(
            encoded(Image.fromarray(np.dstack([U8, np.zeros_like(U8)])), "PNG")
        ),
        "is transparent all over",
    ),
    "folder": (lambda p: p.mkdir(), "is a folder"),
    "link": (lambda p: p.symlink_to("/nonexistent/SECRET"), "is a link to a file that is not"),
}


@pytest.mark.parametrize("name", CAUSES)
def test_the_cause_is_told_and_nothing_of_the_file(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spoil, said = CAUSES[name]
    spoil(tmp_path / "SECRET")
    with pytest.raises(DataError, match=rf"^line 7: .*{said}") as caught:
        load_image(tmp_path / "SECRET", 16, shown="line 7")
    assert "SECRET" not in str(caught.value) and "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_cant_be_found_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "img" / "a.png").touch()
    for name, said in (
        ("img/A.PNG", "upper and lower case differ"),
        ("img\\a.png", r"is written with \\"),
        ("img/b.png", "leave the cell empty"),
        ("img/a.png/b.png", "leave the cell empty"),
        ("img/a\0b.png", "leave the cell empty"),
        ("x" * 5000, "longer name than a file can have"),
    ):
        with pytest.raises(DataError, match=said):
            load_image(tmp_path / name, 16)


def test_a_name_in_another_unicode_form_is_found(tmp_path: Path) -> None:
    decomposed = tmp_path / "Mu\u0308nchen.png"
    decomposed.touch()
    assert on_disk(tmp_path / "M\u00fcnchen.png") == decomposed
    assert on_disk(tmp_path / "Bonn.png") == tmp_path / "Bonn.png"


def test_all_bad_images_of_a_site_are_one_report(tmp_path: Path) -> None:
    files = [
        ImageFile(path=tmp_path / str(n), place=f"a.csv line {n + 2}", row=n) for n in range(9)
    ]
    for file in files:
        spoil = {0: "no rows", 8: "cut DICOM"}.get(file.row, "empty file")
        (CAUSES[spoil][0] if file.row != 4 else write_dicom)(file.path)
    ticks: list[tuple[int, int]] = []
    used, bad = read_radiographs(
        files,
        16,
        lambda file, radiograph: (file.row, radiograph.pixels.shape),
        lambda *t: ticks.append(t),
    )
    assert used == [(4, (16, 16))]
    assert ticks[-1] == (9, 9)
    assert [each.count for each in bad] == [6, 1, 1]
    assert bad[0].places == ("a.csv line 3", "a.csv line 4", "a.csv line 5")
    message = str(refusal(bad))
    assert message.startswith("8 images can't be used: 6 × the file is empty; copy it again (a.csv")
    assert "(a.csv line 3, 4, 5 ...)" in message and "1 × the DICOM field Rows" in message
    assert message.endswith("list their records in `exclude`")


def test_one_bad_image_is_named_plainly() -> None:
    (only,) = by_cause([("a.csv line 3", "the file is empty")])
    assert only == BadImages(cause="the file is empty", count=1, places=("a.csv line 3",))
    assert str(refusal([only])) == "the image of a.csv line 3: the file is empty"
