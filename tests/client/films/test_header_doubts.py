"""What headers say is counted, in no id and no free word; what is usual is no doubt."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client.check.quality import inspect
from client.films.header_doubts import Headed, doubt_headers
from client.films.polarity import core_of, count_negatives
from client.images.headers import HeaderFacts, read_header
from client.site.image_filter import ImageFilter
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.phantom import U8, write_dicom

USUAL = HeaderFacts(
    modality="DX", view="PA", body_part="CHEST", patient_id="P1", rows_to="L", columns_to="F"
)


def doubts(*headers: HeaderFacts, wanted: ImageFilter | None = None) -> list[str]:
    images = [Headed(header=header, patient_id="P1") for header in headers]
    return doubt_headers(images, wanted or ImageFilter())


@pytest.mark.parametrize(
    "header",
    [
        USUAL,
        HeaderFacts(),
        replace(USUAL, view="AP", modality="CR", rows_to="LA", columns_to="FP"),
        replace(USUAL, body_part="THORAX AP", patient_id="p1 ", turned=90),
        replace(USUAL, rows_to="", columns_to=""),
        replace(USUAL, called_lateral=True),  # a field of its own knows better
    ],
)
def test_the_usual_is_no_doubt(header: HeaderFacts) -> None:
    assert doubts(header) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"modality": "CT"}, "2 images are of modality CT"),
        ({"modality": "MEYER"}, "2 images are of modality unknown to DICOM"),
        ({"view": "LL"}, "2 images are of view LL, not PA or AP"),
        ({"view": "MEYER"}, "2 images are of view unknown to DICOM"),
        ({"view": "", "called_lateral": True}, "2 images are called lateral by their description"),
        ({"body_part": "KNEE"}, "2 images are of another part of the body than the chest"),
        ({"raw": True}, "2 images are raw detector data"),
        ({"burned_in": True}, "2 images have writing in the picture"),
        ({"rows_to": "R"}, "2 images are mirrored or turned"),
        ({"columns_to": "R"}, "2 images are mirrored or turned"),
        ({"turned": 90, "rows_to": "", "columns_to": ""}, "2 images are turned against the"),
        ({"patient_id": "MEYER"}, "2 of 3 images name another patient in their header"),
    ],
)
def test_each_kind_is_counted(changes: dict[str, object], said: str) -> None:
    odd = replace(USUAL, **changes)  # type: ignore[arg-type]
    (doubt,) = doubts(odd, USUAL, odd)
    assert doubt.startswith(said) and "MEYER" not in doubt


def test_what_the_site_wants_is_no_doubt() -> None:
    wanted = ImageFilter(views=("ll",), modality=("DX",))
    assert doubts(replace(USUAL, view="LL"), wanted=wanted) == []
    (doubt,) = doubts(replace(USUAL, view=""), wanted=wanted)
    assert doubt == "1 images don't say what images.views asks for, and are kept"


def test_one_person_under_two_ids_is_doubted() -> None:
    images = [Headed(header=USUAL, patient_id=patient) for patient in ("P1", "P2")]
    images.append(Headed(header=replace(USUAL, patient_id="P3"), patient_id="P3"))
    first, second = doubt_headers(images, ImageFilter())
    assert first.startswith("1 of 3 images name another patient")
    assert second.startswith("1 patients of the headers (PatientID) stand under several")


def test_pseudonyms_are_no_doubt_and_a_slip_among_them_is() -> None:
    images = [
        Headed(header=replace(USUAL, patient_id=f"CLINIC{n}"), patient_id=f"study-{n}")
        for n in (0, 0, 1, 2, 3)
    ]
    assert doubt_headers(images, ImageFilter()) == []
    slip = Headed(header=replace(USUAL, patient_id="CLINIC1"), patient_id="study-2")
    assert len(doubt_headers([*images, slip], ImageFilter())) == 2


def test_facts_are_read_from_files_of_all_kinds(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a",
        ViewPosition=" pa",
        BodyPartExamined="CHEST",
        PatientID="P1",
        PatientOrientation=["L", "F"],
        BurnedInAnnotation="NO",
    )
    assert read_header(path) == USUAL
    raw = write_dicom(tmp_path / "b", PresentationIntentType="FOR PROCESSING", Modality="CT")
    assert read_header(raw) == HeaderFacts(modality="CT", raw=True)
    Image.fromarray(U8).save(tmp_path / "c", "PNG")
    (tmp_path / "d").write_bytes(path.read_bytes()[:140])
    assert (
        read_header(tmp_path / "c") is read_header(tmp_path / "d") is read_header(tmp_path) is None
    )
    assert "P1" not in repr(USUAL)


def lateral(hospital: HospitalFolder, rows: range, view: str = "LL") -> None:
    for row in rows:
        write_dicom(hospital.folder / "images" / f"v{row}.dcm", ViewPosition=view)
        hospital.set_cell(row, "file", f"v{row}.dcm")


def test_unwanted_views_are_left_out_and_counted(hospital: HospitalFolder) -> None:
    lateral(hospital, range(2))
    lateral(hospital, range(2, 3), "PA")
    report = inspect(hospital.site, hospital.study)
    assert report.records == 20 and report.left_out == {}
    assert "2 images are of view LL, not PA or AP" in report.warnings
    hospital.configure("images", {"views": ["PA", "AP"]})
    report = inspect(hospital.site, hospital.study)
    assert report.records == 18
    assert report.left_out == {"view LL, not in images.views": 2}
    assert report.as_json()["left_out"] == report.left_out
    assert not report.warnings


def test_negatives_are_found_among_others() -> None:
    rng = np.random.default_rng(0)
    square = np.asarray(Image.fromarray(U8).resize((48, 48)))
    noisy = [np.clip(square + rng.normal(0, 30, square.shape), 0, 255) for _ in range(9)]
    cores = [core_of(each.astype(np.uint8)) for each in noisy]
    assert count_negatives(cores) == 0
    turned_over = [core_of((255 - each).astype(np.uint8)) for each in noisy[:2]]
    assert count_negatives([*cores[2:], *turned_over]) == 2
    assert count_negatives([*cores[:4], *turned_over]) == 0  # too few to tell which are odd
    assert count_negatives([np.zeros(64, np.float32)] * 9) == 0
