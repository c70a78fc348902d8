"""What simulated sites share of this machine, and what their processes keep."""

from pathlib import Path

import pytest

from simulations.run import KeptDatasets, gpu_share
from tests.helpers.hospital_folder import write_hospital


@pytest.mark.parametrize(
    ("gpus", "parallel", "share"), [(0, 2, 0.0), (1, 1, 1.0), (1, 3, 0.3333), (4, 2, 1.0)]
)
def test_processes_share_the_gpus(gpus: int, parallel: int, share: float) -> None:
    assert gpu_share(gpus, parallel) == share
    assert gpu_share(gpus, parallel) * parallel <= gpus


def test_a_process_keeps_the_data_of_each_site_and_of_no_other(tmp_path: Path) -> None:
    one, other = (write_hospital(tmp_path / name, seed=n) for n, name in enumerate("ab"))
    kept = KeptDatasets()
    first = kept.open(one.site, one.study)
    (one.folder / "encounters.csv").unlink()  # nobody looks again while a run lasts
    assert kept.open(one.site, one.study) is first
    second = kept.open(other.site, other.study)
    assert second is not first
    assert kept.open(one.site, one.study) is first
