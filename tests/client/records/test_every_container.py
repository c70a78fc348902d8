"""One hospital, whatever its files are: the same tensors, and what changes is seen."""

import gzip
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import numpy as np
import openpyxl
import pytest
import torch

from client.records.dataset import SiteDataset, open_dataset
from client.records.tables import read_records
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.containers import TABLES, copied, in_excel, in_parquet_and_dicom


def compressed(hospital: HospitalFolder) -> None:
    for table in TABLES:
        path = hospital.folder / table
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    hospital.configure("records.path", "encounters.csv.gz")
    hospital.configure("records.joins", [{"path": "patients.csv.gz", "on": "patient_id"}])


def asked_of_files(hospital: HospitalFolder) -> None:
    """One query joins what site.yaml joined."""
    hospital.configure("records.joins", [])
    hospital.configure("records.query", "SELECT * FROM encounters JOIN people USING (patient_id)")
    hospital.configure("records.beside", {"people": "patients.csv"})


def into_database(hospital: HospitalFolder, execute: Callable[[str], object]) -> None:
    for table in TABLES:
        rows = hospital.rows(table)
        name = table.removesuffix(".csv")
        execute(f"CREATE TABLE {name} ({', '.join(f'{each} TEXT' for each in rows[0])})")
        for row in rows:
            cells = ", ".join("NULL" if cell == "" else f"'{cell}'" for cell in row.values())
            execute(f"INSERT INTO {name} VALUES ({cells})")
        (hospital.folder / table).unlink()
    hospital.configure("records.joins", [])
    hospital.configure(
        "records.query",
        "SELECT * FROM encounters JOIN patients USING (patient_id) ORDER BY record_id",
    )


def asked_of_duckdb(hospital: HospitalFolder) -> None:
    with closing(duckdb.connect(str(hospital.folder / "clinic.duckdb"))) as database:
        into_database(hospital, database.execute)
    hospital.configure("records.path", "clinic.duckdb")


def asked_of_sqlite(hospital: HospitalFolder) -> None:
    with closing(sqlite3.connect(hospital.folder / "clinic.db")) as database:
        into_database(hospital, database.execute)
        database.commit()
    hospital.configure("records.path", "clinic.db")


CONTAINERS = [
    in_parquet_and_dicom,
    in_excel,
    compressed,
    asked_of_files,
    asked_of_duckdb,
    asked_of_sqlite,
]


def opened(hospital: HospitalFolder) -> SiteDataset:
    return open_dataset(hospital.site, hospital.study)


@pytest.mark.parametrize("rewrite", CONTAINERS, ids=lambda rewrite: rewrite.__name__)
def test_a_hospital_gives_the_same_tensors_in_every_container(
    rewrite: Callable[[HospitalFolder], None], hospital: HospitalFolder, tmp_path: Path
) -> None:
    plain = opened(hospital)
    other = copied(hospital, tmp_path / "again")
    rewrite(other)
    found = opened(other)
    assert set(found.tensors) == set(plain.tensors) and len(plain.pixels) == 20
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(found.tensors[name], tensor, rtol=0, atol=0, equal_nan=True)
    apart = np.abs(found.pixels.astype(int) - plain.pixels)
    assert apart.max() <= 2
    assert found.patients.keys() == plain.patients.keys()


def long_table(hospital: HospitalFolder) -> list[list[str]]:
    """The laboratory's values as a long table's rows below their header."""
    rows = [["record", "loinc", "value", "unit"]]
    for each in hospital.rows():
        if each["crp"]:
            rows.append([each["record_id"], "1988-5", each["crp"], "mg/dL"])
        rows.append([each["record_id"], "731-0", each["lympho"], "1000/µl"])
    return rows


def long_excel(folder: Path, rows: list[list[str]]) -> dict[str, str]:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(folder / "labs.xlsx")
    return {"path": "labs.xlsx"}


def long_gzip(folder: Path, rows: list[list[str]]) -> dict[str, str]:
    text = "".join(",".join(row) + "\n" for row in rows)
    (folder / "labs.csv.gz").write_bytes(gzip.compress(text.encode()))
    return {"path": "labs.csv.gz"}


def long_query(folder: Path, rows: list[list[str]]) -> dict[str, str]:
    """Over a file that could be read as it is, and holds other values."""
    text = "".join(",".join([row[0], row[1], f"9{row[2]}", row[3]]) + "\n" for row in rows[1:])
    header = "record,loinc,written,unit\n"
    (folder / "labs.csv").write_text(header + text, encoding="utf-8")
    return {"path": "labs.csv", "query": "SELECT *, written[2:] AS value FROM labs"}


@pytest.mark.parametrize("write", [long_excel, long_gzip, long_query])
def test_a_long_table_comes_in_every_container(
    write: Callable[[Path, list[list[str]]], dict[str, str]], hospital: HospitalFolder
) -> None:
    wide = [record.labs for record in read_records(hospital.site, hospital.study)]
    table = write(hospital.folder, long_table(hospital))
    hospital.configure("labs", None)
    hospital.configure(
        "lab_table", {**table, "on": "record", "test": "loinc", "value": "value", "unit": "unit"}
    )
    assert [record.labs for record in read_records(hospital.site, hospital.study)] == wide


def test_a_change_of_any_file_of_a_query_is_seen(hospital: HospitalFolder) -> None:
    asked_of_files(hospital)
    before = opened(hospital).tensors
    path = hospital.folder / "patients.csv"
    times = path.stat()
    hospital.set_cell(0, "age", "75", "patients.csv")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = opened(hospital).tensors
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_a_change_of_a_database_or_of_a_sheet_is_seen(
    hospital: HospitalFolder, tmp_path: Path
) -> None:
    other = copied(hospital, tmp_path / "again")
    asked_of_sqlite(hospital)
    in_excel(other)
    before = [opened(each).tensors for each in (hospital, other)]
    with closing(sqlite3.connect(hospital.folder / "clinic.db")) as database:
        database.execute("UPDATE patients SET age = '75' WHERE patient_id = 'P000'")
        database.commit()
    book = openpyxl.load_workbook(other.folder / "hospital.xlsx")
    book["patients"]["B2"] = 75
    book.save(other.folder / "hospital.xlsx")
    for each, tensors in zip((hospital, other), before, strict=True):
        found = opened(each).tensors
        assert any(not torch.equal(tensors[name], found[name]) for name in found)


def test_an_error_names_the_sheet_and_its_row(hospital: HospitalFolder) -> None:
    hospital.set_cell(3, "lympho", "much")
    in_excel_as_text = hospital.rows()
    assert in_excel_as_text[3]["lympho"] == "much"
    book = openpyxl.Workbook()
    book.active.title = "Visits"
    book.active.append(list(in_excel_as_text[0]))
    for row in in_excel_as_text:
        book.active.append(list(row.values()))
    book.save(hospital.folder / "visits.xlsx")
    hospital.configure("records.path", "visits.xlsx")
    with pytest.raises(DataError, match=r"^visits\.xlsx sheet 'Visits' row 5, column 'lympho'"):
        read_records(hospital.site, hospital.study)
    asked = "SELECT * FROM encounters"
    hospital.configure("records.path", "encounters.csv")
    hospital.configure("records.query", asked)
    with pytest.raises(DataError, match=r"^encounters\.csv result row 4, column 'lympho'"):
        read_records(hospital.site, hospital.study)
    hospital.configure("records.query", "SELECT * FROM encounters, people")
    hospital.configure("records.beside", {"people": "nobody.csv"})
    with pytest.raises(DataError, match=r"^nobody\.csv: no such file, named by records\.beside\."):
        read_records(hospital.site, hospital.study)
