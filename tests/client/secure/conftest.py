"""Hospitals of one roster, read once and asked afresh in each test."""

import pytest

from tests.helpers.sites.secure_sites import SecureSites, write_secure_sites


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> SecureSites:
    return write_secure_sites(tmp_path_factory.mktemp("secure"))


@pytest.fixture
def sites(written: SecureSites) -> SecureSites:
    return written.afresh()


@pytest.fixture
def silent(written: SecureSites) -> SecureSites:
    """A study without noise, at sites that allow it."""
    return written.afresh(privacy={"noise_multiplier": 0.0, "delta": 1e-3}, budget="none")
