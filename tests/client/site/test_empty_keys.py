"""A key without its values, or with a list for a mapping: said in words that a hospital knows."""

import pytest

from irene_model.errors import ConfigError, DataError
from tests.helpers.hospital_folder import HospitalFolder


@pytest.mark.parametrize(
    ("value", "said"),
    [(["CRP"], "labs: expected keys, each with its value"), ("CRP", "labs: expected keys, each")],
)
def test_what_is_no_mapping_is_told(hospital: HospitalFolder, value: object, said: str) -> None:
    hospital.configure("labs", value)
    with pytest.raises(ConfigError, match=said):
        hospital.site  # noqa: B018


def test_an_empty_key_is_told(hospital: HospitalFolder) -> None:
    text = hospital.site_file.read_text(encoding="utf-8")
    start = text.index("labs:")
    end = text.index("\nlabels:") if text.index("\nlabels:") > start else text.index("\nrecords:")
    hospital.site_file.write_text(text[:start] + "labs:" + text[end:], encoding="utf-8")
    with pytest.raises(ConfigError, match="labs: is empty; fill it or leave it out"):
        hospital.site  # noqa: B018


def test_a_folder_is_no_table(hospital: HospitalFolder) -> None:
    from client.records.tables import read_records

    hospital.configure("records.path", "images")
    with pytest.raises(DataError, match=r"images: is a folder, named by records\.path"):
        read_records(hospital.site, hospital.study)
