"""A small site, its patients, and a round's plan that samples and does not drown them in noise."""

from collections.abc import Iterator

import pytest

from client.devices.workers import _end_all
from client.records.dataset import SiteDataset, open_dataset
from tests.helpers.hospital_folder import SMALL, HospitalFolder


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("training.expected_batch", 6, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


@pytest.fixture
def ended() -> Iterator[None]:
    """No worker outlives the test."""
    yield
    _end_all()
