"""What a process keeps that answers for several sites."""

from pathlib import Path

from simulations.engine.clients import KeptDatasets
from tests.helpers.hospital_folder import write_hospital


def test_a_process_keeps_the_data_of_each_site_and_of_no_other(tmp_path: Path) -> None:
    one, other = (write_hospital(tmp_path / name, seed=n) for n, name in enumerate("ab"))
    kept = KeptDatasets()
    first = kept.open(one.site, one.study)
    (one.folder / "encounters.csv").unlink()  # nobody looks again while a run lasts
    assert kept.open(one.site, one.study) is first
    second = kept.open(other.site, other.study)
    assert second is not first
    assert kept.open(one.site, one.study) is first
