"""All bad images of a site at once, through the real command."""

import json
import sys

import pytest

from client import cli
from client.records.dataset import open_dataset
from client.site.image_filter import ImageFilter
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.phantom import write_dicom


def spoil(hospital: HospitalFolder) -> None:
    images = hospital.folder / "images"
    for row in (0, 1, 2, 4):
        (images / f"{row}.png").write_bytes(b"")
    write_dicom(images / "5.png", Rows=4000, PatientID="SECRET")
    hospital.set_cell(6, "file", "SECRET.png")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_bad_images_are_all_reported_and_the_rest_too(
    hospital: HospitalFolder,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    spoil(hospital)
    arguments = ["check", str(hospital.site_file), "--study", str(hospital.study_file), *options]
    monkeypatch.setattr(sys, "argv", ["irene-client", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("error: 6 images can't be used: 4 × the file is empty")
    assert len(printed.err.strip().splitlines()) == 1
    for said in ("1 × the DICOM field PixelData is shorter", "1 × can't be found"):
        assert said in printed.err
    assert "SECRET" not in printed.out + printed.err
    if options:
        report = json.loads(printed.out)
        assert [each["count"] for each in report["unreadable_images"]] == [4, 1, 1]
        assert len(report["unreadable_images"][0]["places"]) == 3
        assert report["records"] == 20
    else:
        assert "20 records of 10 patients" in printed.out and "can be used" not in printed.out


def test_training_refuses_them_in_the_same_words(hospital: HospitalFolder) -> None:
    spoil(hospital)
    with pytest.raises(DataError, match="6 images can't be used: 4 × the file is empty"):
        open_dataset(hospital.site, hospital.study)
    hospital.configure("exclude", ["R000", "R001", "R002", "R004", "R005", "R006"])
    assert len(open_dataset(hospital.site, hospital.study).pixels) == 14


def test_a_filter_that_leaves_nothing_is_refused(hospital: HospitalFolder) -> None:
    assert ImageFilter() == hospital.site.images
    for row in range(20):
        write_dicom(hospital.folder / "images" / f"{row}.dcm", ViewPosition="LL")
        hospital.set_cell(row, "file", f"{row}.dcm")
    hospital.configure("images", {"views": ["PA"]})
    with pytest.raises(DataError, match="images: leaves no record"):
        open_dataset(hospital.site, hospital.study)
