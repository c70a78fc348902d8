"""A site of two devices in a secure sum: what it sends is what one device would."""

from collections.abc import Iterator

import numpy as np
import pytest

from client.devices.workers import _kept, end_workers
from tests.helpers.sites.secure_sites import SecureSites, total_of

pytestmark = pytest.mark.slow


@pytest.fixture
def ended() -> Iterator[None]:
    """No worker outlives the test."""
    yield
    end_workers()


def test_the_sum_is_that_of_one_device_but_for_rounding(silent: SecureSites, ended: None) -> None:
    one = total_of(silent.train("north", seed=5, masked=False)).view(np.int32)
    again = silent.afresh(privacy={"noise_multiplier": 0.0, "delta": 1e-3}, budget="none")
    again.hospital("north").configure("device", ["cpu", "cpu"])
    two = total_of(again.train("north", seed=5, masked=False)).view(np.int32)
    assert len(_kept) == 1 and len(_kept[0].pids) == 1
    assert np.abs(one).max() > 1000
    assert np.abs(one.astype(np.int64) - two).max() <= 1 + 1e-5 * np.abs(one).max()
