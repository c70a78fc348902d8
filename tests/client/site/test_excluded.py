"""`exclude` as a list or as a file, and the words of `images`, as site.yaml gives them."""

import pytest

from client.records.tables import read_records
from irene_model.errors import ConfigError, DataError
from tests.helpers.hospital_folder import HospitalFolder


@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_file_of_ids_is_as_good_as_a_list(hospital: HospitalFolder, start: str) -> None:
    hospital.configure("exclude", ["R003", "R005"])
    listed = hospital.site
    (hospital.folder / "out.txt").write_bytes(f"{start}R003\r\n\r\n  R005 \n".encode())
    hospital.configure("exclude", "out.txt")
    assert hospital.site == listed
    assert len(read_records(hospital.site, hospital.study)) == 18


def test_a_wrong_file_is_a_mistake_that_quotes_nothing(hospital: HospitalFolder) -> None:
    hospital.configure("exclude", "out.txt")
    with pytest.raises(ConfigError, match=r"exclude: no such file.*a record id on each line"):
        _ = hospital.site
    (hospital.folder / "out.txt").write_bytes(b"SECRET \xff")
    with pytest.raises(ConfigError, match=r"exclude: the file can't be read as UTF-8") as caught:
        _ = hospital.site
    (hospital.folder / "out.txt").write_text("R003\n\nSECRET\n", encoding="utf-8")
    with pytest.raises(DataError, match="no record has the id of entry 2") as second:
        read_records(hospital.site, hospital.study)
    assert "SECRET" not in f"{caught.value}{second.value}"


def test_what_is_wanted_of_images_is_in_capitals(hospital: HospitalFolder) -> None:
    hospital.configure("images", {"views": ["pa", " AP"], "modality": ["dx"]})
    assert hospital.site.images.views == ("PA", "AP")
    assert hospital.site.images.modality == ("DX",)
    hospital.configure("images", {"views": [""]})
    with pytest.raises(ConfigError, match=r"images\.views: .*empty word"):
        _ = hospital.site
    hospital.configure("images", {"view": ["PA"]})
    with pytest.raises(ConfigError, match=r"images\.view: unknown key; did you mean 'views'"):
        _ = hospital.site
