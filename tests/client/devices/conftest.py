"""A small site to share out."""

import pytest

from client.records.dataset import SiteDataset, open_dataset
from tests.helpers.hospital_folder import SMALL, HospitalFolder


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("training.expected_batch", 6, "study.yaml")
    return open_dataset(hospital.site, hospital.study)
