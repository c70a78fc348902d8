"""The short form of the federation drill; the long one is for people."""

import shutil
from pathlib import Path

import pytest

from tests.drills.federation_drill import drill, short_script


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin") is None,
    reason="nginx is not installed",
)
def test_nothing_is_lost_and_nobody_is_left_out_in_silence(tmp_path: Path) -> None:
    said: list[str] = []
    verdict = drill(tmp_path, short_script(), said.append, calm=False)
    assert verdict.faults == []
    assert verdict.figures["sites x rounds"]["refused"] == 2
    assert len(said) == 7
