"""A site that approved a small study with a budget, before and after it released rounds."""

import shutil
from pathlib import Path

import pytest

from client.consent.consent import Consent
from tests.helpers.hospital_folder import SMALL, HospitalFolder, write_hospital
from tests.helpers.sites.witnessed_site import copied, evaluate, train


def approve(hospital: HospitalFolder) -> None:
    """A small study that its people approve, with a budget."""
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("federation.rounds", 9, "study.yaml")
    hospital.configure("budget", {"epsilon": 50, "delta": 1.0e-3})
    Consent.of(hospital.site).approve(hospital.study)


@pytest.fixture
def approved(hospital: HospitalFolder) -> None:
    """A small study that the site's people approved, with a budget."""
    approve(hospital)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> HospitalFolder:
    """A site after three rounds and two evaluations; beside it `old`, as it was after the first."""
    hospital = write_hospital(tmp_path_factory.mktemp("trained") / "north")
    approve(hospital)
    assert train(hospital, 1).outcome == "updated" and evaluate(hospital, 1) == "evaluated"
    copied(hospital.folder / ".irene", hospital.folder / "old")
    for round in (2, 3):
        assert train(hospital, round).outcome == "updated"
    assert evaluate(hospital, 3) == "evaluated"
    return hospital


@pytest.fixture
def released(
    approved: None, hospital: HospitalFolder, trained: HospitalFolder
) -> tuple[Path, Path]:
    """The state of `trained` and its `old`, copied to where `hospital` lies."""
    state, old = hospital.folder / ".irene", hospital.folder / "old"
    shutil.rmtree(state)
    shutil.copytree(trained.folder / ".irene", state)
    shutil.copytree(trained.folder / "old", old)
    return state, old
