"""A hospital's tables, read: the records, or what the refusal says."""

import pytest

from client.records.tables import read_records
from irene_model.errors import DataError
from irene_model.study.records import Record
from tests.helpers.hospital_folder import HospitalFolder


def records_of(hospital: HospitalFolder) -> tuple[Record, ...]:
    return read_records(hospital.site, hospital.study)


def refusal(hospital: HospitalFolder) -> str:
    with pytest.raises(DataError) as caught:
        records_of(hospital)
    return str(caught.value)
