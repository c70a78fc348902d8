"""Joins of real files: the right partner, or an error or a warning that names the join."""

import decimal
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.joins import Account
from client.records.tables import read_wanted_records
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder, write_hospital

SPOILERS: dict[str, Callable[[str], str]] = {
    "zeros lost": lambda key: str(int(key)),
    "zeros added": lambda key: f"00{key}",
    "float": lambda key: f"{int(key)}.0",
    "float with zeros": lambda key: f"{key}.0",
    "space": lambda key: f" {key} ",
    "nbsp": lambda key: f"{key}\u00a0",
    "space within": lambda key: f"{key[:2]} {key[2:]}",
    "zero width": lambda key: f"{key[:2]}\u200b{key[2:]}\ufeff",
    "prefix": lambda key: f"PAT-{key}",
    "suffix": lambda key: f"{key}x",
}


def number_patients(hospital: HospitalFolder, prefix: str = "") -> None:
    """Ids such as 00107 in both tables."""
    for table in ("encounters.csv", "patients.csv"):
        rows = hospital.rows(table)
        for row in rows:
            row["patient_id"] = f"{prefix}{int(row['patient_id'][1:]) + 100:05d}"
        hospital.write_rows(rows, table)


def spoil(hospital: HospitalFolder, change: Callable[[str], str], count: int) -> None:
    rows = hospital.rows("patients.csv")
    for row in rows[:count]:
        row["patient_id"] = change(row["patient_id"])
    hospital.write_rows(rows, "patients.csv")


def sexes(hospital: HospitalFolder) -> tuple[dict[str, str | None], Account]:
    account = Account()
    placed = read_wanted_records(hospital.site, hospital.study, account)[0]
    return {p.record.record_id: p.record.sex for p in placed}, account


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(SPOILERS)),
    st.integers(1, 10),
    st.sampled_from(["", "pat"]),
)
def test_a_spoilt_key_finds_its_partner_or_is_told(kind: str, count: int, prefix: str) -> None:
    change = SPOILERS[kind]
    with TemporaryDirectory() as folder:
        hospital = write_hospital(Path(folder) / "north")
        number_patients(hospital, prefix)
        right, _ = sexes(hospital)
        if prefix:
            spoil(hospital, lambda key: prefix.upper() + change(key[len(prefix) :]), count)
        else:
            spoil(hospital, change, count)
        try:
            found, account = sexes(hospital)
        except DataError as error:
            assert "patients.csv" in str(error) and "records.joins.0" in str(error)
            assert "'patient_id'" in str(error) and "00107" not in str(error)
            return
        if found != right:
            (join,) = account.joins
            assert join.partners == 10 - count
            # A single prefix may be another patient's: it is counted alone.
            assert "records.joins.0" in str(join.doubt()) or (
                kind in ("prefix", "suffix") and count == 1
            )


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("zeros lost", "10 of 10 keys without a partner differ only by leading zeros"),
        ("space within", "10 of 10 keys without a partner differ only by spaces or punctuation"),
        ("prefix", "10 of 10 keys without a partner differ only by letters before or after"),
    ],
)
def test_the_error_names_tables_column_counts_cause_and_remedy(
    hospital: HospitalFolder, kind: str, said: str
) -> None:
    number_patients(hospital)
    spoil(hospital, SPOILERS[kind], 10)
    with pytest.raises(DataError) as caught:
        sexes(hospital)
    message = str(caught.value)
    assert message.startswith(
        "patients.csv, joined to encounters.csv by 'patient_id': 0 of 10 keys have a partner"
    )
    assert said in message and message.endswith("records.joins.0.matched: 0.00")


@pytest.mark.parametrize("kind", ["space", "nbsp", "zero width", "float with zeros"])
def test_what_can_merge_nobody_is_mended(hospital: HospitalFolder, kind: str) -> None:
    number_patients(hospital)
    right, _ = sexes(hospital)
    spoil(hospital, SPOILERS[kind], 10)
    found, account = sexes(hospital)
    assert found == right and None not in found.values()
    assert account.joins[0].partners == 10


def test_the_wrong_column_is_named(hospital: HospitalFolder) -> None:
    rows = hospital.rows("patients.csv")
    for number, row in enumerate(rows):
        row["patient_id"] = f"R{number:03d}"
    hospital.write_rows(rows, "patients.csv")
    with pytest.raises(DataError, match="stand in column 'record_id' of the records"):
        sexes(hospital)


def test_a_site_may_say_that_few_belong_together(hospital: HospitalFolder) -> None:
    rows = hospital.rows("patients.csv")
    for number, row in enumerate(rows[2:]):
        row["patient_id"] = f"X{number}y"
    hospital.write_rows(rows, "patients.csv")
    with pytest.raises(DataError, match="2 of 10 keys"):
        sexes(hospital)
    hospital.configure(
        "records.joins", [{"path": "patients.csv", "on": "patient_id", "matched": 0.2}]
    )
    found, account = sexes(hospital)
    assert sum(sex is not None for sex in found.values()) == 4
    joined = account.tables[1]
    assert (joined.rows, joined.used, joined.excluded) == (10, 2, 0)
    assert joined.rejected == {"no record has its key": 8}


@pytest.mark.parametrize(
    "cells",
    [
        pa.array([float(n + 100) for n in range(10)]),
        pa.array([n + 100 for n in range(10)]),
        pa.array([decimal.Decimal(n + 100) for n in range(10)], pa.decimal128(20, 10)),
        pa.array([str(n + 100) for n in range(10)]).dictionary_encode(),
    ],
)
def test_parquets_numbers_meet_the_text_of_csv(hospital: HospitalFolder, cells: pa.Array) -> None:
    right, _ = sexes(hospital)
    rows = hospital.rows()
    for row in rows:
        row["patient_id"] = str(int(row["patient_id"][1:]) + 100)
    hospital.write_rows(rows)
    patients = hospital.rows("patients.csv")
    table = {"patient_id": cells, **{k: [r[k] for r in patients] for k in ("age", "sex")}}
    pq.write_table(pa.table(table), hospital.folder / "patients.parquet")
    hospital.configure("records.joins", [{"path": "patients.parquet", "on": "patient_id"}])
    found, account = sexes(hospital)
    assert found == right and account.joins[0].partners == 10


def long_table(hospital: HospitalFolder, rows: list[tuple[str, str]], **more: object) -> None:
    hospital.configure("labs", None)
    lines = ["record,loinc,value,unit", *(f"{owner},{code},4,mg/L" for owner, code in rows)]
    (hospital.folder / "labs.csv").write_text("\n".join(lines), encoding="utf-8")
    table = {"path": "labs.csv", "on": "record", "test": "loinc", "value": "value", "unit": "unit"}
    hospital.configure("lab_table", {**table, **more})


def test_a_laboratory_tables_strangers_have_a_cause(hospital: HospitalFolder) -> None:
    long_table(hospital, [(f"r{n:03d}", "1988-5") for n in range(20)])
    with pytest.raises(DataError, match=r"names no record .*20 of 20 keys .*upper and lower case"):
        sexes(hospital)


def test_a_laboratory_table_may_be_of_others_as_well(hospital: HospitalFolder) -> None:
    rows = [(f"R{n:03d}\u200b", "1988-5") for n in range(8)]
    rows += [("other", "1988-5"), ("R001", "30522-7"), ("R002", "CRP")]
    long_table(hospital, rows, matched=0.8)
    hospital.configure("exclude", ["R003"])
    _, account = sexes(hospital)
    used = account.tables[-1]
    assert (used.rows, used.used, used.excluded) == (11, 7, 1)
    assert used.rejected == {
        "a test that the study does not ask for": 2,
        "no record has its key": 1,
    }
    assert account.codes == {"30522-7": 1} and account.other_codes == 1
    hospital.configure("lab_table.matched", 0.95)
    with pytest.raises(DataError, match="8 of 9 keys have a partner"):
        sexes(hospital)


def test_a_table_without_any_asked_code_is_refused(hospital: HospitalFolder) -> None:
    long_table(hospital, [("R001", "May-88"), ("R002", "May-88")])
    with pytest.raises(DataError, match=r"labs\.csv, column 'loinc'.* 2 rows hold a date"):
        sexes(hospital)


def test_record_ids_that_look_alike_are_one(hospital: HospitalFolder) -> None:
    hospital.set_cell(4, "record_id", "R003\u200b")
    with pytest.raises(DataError, match="repeats the id of an earlier row"):
        sexes(hospital)
