"""A small site to train at."""

from pathlib import Path

import pytest

from client.ledger.ledger import Ledger
from client.records.dataset import SiteDataset, open_dataset
from client.site.site import Budget
from tests.helpers.hospital_folder import SMALL, HospitalFolder


@pytest.fixture
def dataset(hospital: HospitalFolder) -> SiteDataset:
    hospital.configure("model", SMALL, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.sqlite", Budget(epsilon=8, delta=1e-3))
