"""irene-client split: a table to join, in which nobody moves when others come."""

import csv
import stat

import pytest
from typer.testing import CliRunner

from client import cli
from client.records.tables import read_records
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder, write_hospital


@pytest.fixture
def large(tmp_path) -> HospitalFolder:  # type: ignore[no-untyped-def]
    hospital = write_hospital(tmp_path / "north", patients=30)
    hospital.configure("columns.split", None)
    hospital.configure("splits", {"validation": 0.2, "test": 0.2})
    rows = [{k: v for k, v in row.items() if k != "split"} for row in hospital.rows()]
    hospital.write_rows(rows)
    return hospital


def split(hospital: HospitalFolder, name: str = "splits.csv") -> str:
    arguments = ["split", str(hospital.site_file), "--study", str(hospital.study_file)]
    out = str(hospital.folder / name)
    result = CliRunner().invoke(cli.app, [*arguments, "--out", out], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def join(hospital: HospitalFolder) -> None:
    joins = [{"path": name, "on": "patient_id"} for name in ("patients.csv", "splits.csv")]
    hospital.configure("records.joins", joins)
    hospital.configure("columns.split", {"column": "split"})


def homes_of(hospital: HospitalFolder) -> dict[str, str]:
    return {
        record.patient_id: record.split for record in read_records(hospital.site, hospital.study)
    }


def test_the_table_is_what_a_join_reads(large: HospitalFolder) -> None:
    said = split(large)
    assert "18 train, 6 validation, 6 test" in said and "death: 6 of 18 train" in said
    path = large.folder / "splits.csv"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    join(large)
    with path.open(encoding="utf-8", newline="") as file:
        written = {row["patient_id"]: row["split"] for row in csv.DictReader(file)}
    assert homes_of(large) == written
    assert {"P000", "patient_id"}.isdisjoint(said.split("Join it")[0].split())


def test_nobody_moves_when_others_come(large: HospitalFolder) -> None:
    rows, patients = large.rows(), large.rows("patients.csv")
    large.write_rows(rows[:40])
    split(large)
    join(large)
    before = homes_of(large)
    large.write_rows(rows)
    large.write_rows(patients, "patients.csv")
    split(large)  # although the joined table lacks them still
    after = homes_of(large)
    assert len(before) == 20 and len(after) == 30
    assert before.items() <= after.items()


def test_another_file_is_never_written_over(large: HospitalFolder) -> None:
    before = (large.folder / "patients.csv").read_bytes()
    with pytest.raises(ConfigError, match="is no table of this command"):
        split(large, "patients.csv")
    assert (large.folder / "patients.csv").read_bytes() == before


def test_where_role_or_date_decide_there_is_nothing_to_share_out(large: HospitalFolder) -> None:
    large.configure("role", "validation-site")
    with pytest.raises(ConfigError, match="nothing to share out"):
        split(large)
