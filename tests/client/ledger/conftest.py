"""A small study that is approved at a site with a budget."""

import pytest

from client.consent.consent import Consent
from tests.helpers.hospital_folder import SMALL, HospitalFolder


@pytest.fixture
def approved(hospital: HospitalFolder) -> None:
    """A small study that the site's people approved, with a budget."""
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("federation.rounds", 9, "study.yaml")
    hospital.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
    Consent.of(hospital.site).approve(hospital.study)
