"""OMOP's tables in their containers: what is read, passed over, and refused."""

import csv
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from client.sources.history import History
from client.sources.omop import read_omop
from irene_model.errors import ConfigError, DataError

SECRET = "Zebedee"
TABLES: dict[str, list[dict[str, Any]]] = {
    "person": [
        {"person_id": 1, "gender_concept_id": 8507, "year_of_birth": 1950, "month_of_birth": ""},
        {"person_id": 2, "gender_concept_id": 0, "year_of_birth": 1960, "month_of_birth": 5},
    ],
    "visit_occurrence": [
        {"visit_occurrence_id": 7, "person_id": 1, "visit_start_date": "2024-01-02"},
    ],
    "condition_occurrence": [
        {"person_id": 1, "condition_concept_id": 0, "condition_source_value": "J18.9"},
        {"person_id": 1, "condition_concept_id": 255848, "condition_source_value": SECRET},
        {"person_id": 1, "condition_concept_id": 0, "condition_source_value": ""},
    ],
    "measurement": [
        {"value_as_number": "", "value_source_value": "<5", "operator_concept_id": ""},
        {"value_as_number": "5", "value_source_value": "", "operator_concept_id": "4171756"},
        {"value_as_number": "7.5", "value_source_value": "7.5 ", "operator_concept_id": "4172703"},
        {"value_as_number": "", "value_source_value": SECRET, "operator_concept_id": ""},
    ],
}


def write(folder: Path, **changed: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, rows in {**TABLES, **changed}.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return folder


def read(source: Path) -> tuple[History, list[dict[str, Any]]]:
    history, labs = read_omop(source, lambda done, total: None)
    return history, [row for chunk in labs.chunks() for row in chunk.to_pylist()]


def refused(source: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(source)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_values_signs_and_codes_without_a_vocabulary(tmp_path: Path) -> None:
    history, rows = read(write(tmp_path / "cdm"))
    found = [(row["value"], row["comparator"]) for row in rows]
    assert found == [("5", "<"), ("5", "<"), ("7.5", "")]
    assert [(f.icd10, f.code) for f in history.findings] == [("J18.9", ""), ("", "255848")]
    assert history.tally.passed == {
        ("condition_occurrence", "neither a concept nor ICD-10"): 1,
        ("measurement", "neither a number nor negative or positive"): 1,
    }
    born = [person.born for person in history.persons.values()]
    assert [None if each is None else each.known for each in born] == ["year", "month"]


def test_an_athena_vocabulary_is_separated_by_tabs_and_quotes_nothing(tmp_path: Path) -> None:
    folder = write(tmp_path / "cdm")
    header = "concept_id\tconcept_name\tvocabulary_id\tconcept_code\n"
    (folder / "CONCEPT.csv").write_text(
        f'{header}255848\tan "odd name\tSNOMED\t233604007\n9\tx\ty\tz\n'
    )
    history, _ = read(folder)
    assert history.names == {"255848": 'an "odd name'}
    assert history.tally.read["concept"] == 1


def test_an_id_of_two_contents_is_refused_and_a_repeated_row_counted(tmp_path: Path) -> None:
    one, two = TABLES["person"]
    history, _ = read(write(tmp_path / "cdm", person=[one, two, one]))
    assert history.tally.passed["person", "there twice"] == 1
    other = {**one, "gender_concept_id": 8532}
    assert "table person: an id has two rows" in refused(write(tmp_path / "c", person=[one, other]))


def test_what_is_no_omop_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "has no table person" in refused(empty)
    assert "can't be read" in refused(tmp_path / "absent")
    text = tmp_path / "text"
    text.write_text(SECRET)
    assert "neither a folder nor a file" in refused(text)
    folder = write(tmp_path / "cdm")
    (folder / "note.csv").write_bytes(b"person_id,note_text\n1,\xff\xfe\n")
    assert refused(folder) == "note.csv: is damaged, or no table in UTF-8; export it again"
    (folder / "note.parquet").write_bytes(b"PAR1")
    assert "holds the table note more than once" in refused(folder)


def test_links_lead_nowhere(tmp_path: Path) -> None:
    folder = write(tmp_path / "cdm")
    outside = tmp_path / "outside.csv"
    (folder / "person.csv").rename(outside)
    (folder / "person.csv").symlink_to(outside)
    assert "has no table person" in refused(folder)


def test_a_view_of_a_database_is_not_run_and_a_broken_one_refused(tmp_path: Path) -> None:
    path = tmp_path / "cdm.sqlite"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE visit_occurrence (visit_occurrence_id)")
    database.execute("CREATE VIEW person AS SELECT 1 AS person_id")
    database.commit()
    database.close()
    assert "has no table person" in refused(path)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000)
    assert "no database that SQLite can read" in refused(path)


def test_a_duckdb_file_names_the_library_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cdm.duckdb"
    path.write_bytes(b"\0" * 8 + b"DUCK" + b"\0" * 100)
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    with pytest.raises(ConfigError, match="its library is not installed"):
        read(path)


def test_parquet_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "cdm")
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0"),
                                                    pa.py_buffer(b"\xff")])  # fmt: skip
    table = pa.table({"person_id": ["1"], "note_text": broken})
    parquet.write_table(table, folder / "note.parquet")
    assert refused(folder) == "note.parquet: is damaged, or no table in UTF-8; export it again"


def test_a_duckdb_file_is_read_where_its_library_is_and_its_views_are_not(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    folder, path = write(tmp_path / "cdm"), tmp_path / "cdm.duckdb"
    with duckdb.connect(str(path)) as database:
        for name in TABLES:
            source = f"read_csv('{folder / name}.csv', all_varchar = true)"
            kind = "VIEW" if name == "measurement" else "TABLE"
            database.execute(f"CREATE {kind} {name} AS SELECT * FROM {source}")
    history, rows = read(path)
    expected, _ = read(folder)
    assert (history.persons, history.visits) == (expected.persons, expected.visits)
    assert history.findings == expected.findings
    assert rows == []
    content = path.read_bytes()
    path.write_bytes(content[:5000] + b"\xff" * 300 + content[5300:])
    assert "can't be read by DuckDB" in refused(path)
