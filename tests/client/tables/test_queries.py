"""A query over a hospital's files: its rows as text, and nothing else in the machine."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.site import Table
from client.tables.csv_files import Cells
from client.tables.table_file import read_table
from irene_model.errors import DataError

LABS = "id,code,value\n007,crp,1.50\n008,crp,<5\n008,ldh,\n"


def read(path: Path, query: str, **beside: Path) -> Cells:
    named = {name: Path(each.name) for name, each in beside.items()}
    table = Table(path=Path(path.name), query=query, beside=named)
    return read_table(path, table, "lab_table", beside)


def refusal(path: Path, query: str, **beside: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(path, query, **beside)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    (tmp_path / "labs.csv").write_text(LABS, encoding="utf-8")
    return tmp_path / "labs.csv"


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"id": ["007", "008"], "age": [40.0, None]}), tmp_path / "p.parquet")
    return tmp_path / "p.parquet"


@pytest.fixture
def duck(tmp_path: Path) -> Path:
    with closing(duckdb.connect(str(tmp_path / "clinic.duckdb"))) as database:
        database.execute(
            "CREATE TABLE visits AS SELECT '007' AS id, 40 AS age, DATE '2024-01-31' d"
        )
    return tmp_path / "clinic.duckdb"


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "clinic.db")) as database:
        database.execute("CREATE TABLE visits (id TEXT, age REAL, scan BLOB)")
        database.execute("INSERT INTO visits VALUES ('007', 40.0, x'00'), ('008', NULL, NULL)")
        database.commit()
    return tmp_path / "clinic.db"


def test_text_stays_text(csv: Path) -> None:
    found = read(csv, "SELECT id, value FROM labs WHERE code = 'crp' ORDER BY id")
    assert (found.names, found.columns) == (["id", "value"], [["007", "008"], ["1.50", "<5"]])
    assert (found.lines, found.counted) == ([1, 2], "result row")


def test_files_are_joined(csv: Path, parquet: Path, duck: Path) -> None:
    query = "SELECT id, value, age FROM labs JOIN people USING (id) WHERE code = 'crp' ORDER BY id"
    found = read(csv, query, people=parquet)
    assert found.columns == [["007", "008"], ["1.50", "<5"], ["40", ""]]
    assert found.numeric == {"age"}
    found = read(duck, "SELECT d, value FROM visits JOIN labs USING (id)", labs=csv)
    assert found.columns == [["2024-01-31"], ["1.50"]]


def test_sqlite_needs_no_extra(sqlite: Path) -> None:
    found = read(sqlite, "SELECT id, age, scan FROM visits ORDER BY id")
    assert (found.names, found.columns) == (["id", "age"], [["007", "008"], ["40", ""]])
    assert found.numeric == {"age"} and set(found.unread) == {"scan"}


ATTACKS = [
    "DROP TABLE visits",
    "DELETE FROM visits",
    "SELECT 1; DELETE FROM visits",
    "ATTACH '{folder}/other.db' AS other",
    "COPY (SELECT 1) TO '{folder}/out.csv'",
    "VACUUM INTO '{folder}/out.db'",
    "SELECT * FROM read_text('/etc/hostname')",
    "SELECT * FROM read_csv('{folder}/secret.csv')",
    "SELECT * FROM '{folder}/secret.csv'",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_csv('https://example.org/a.csv')",
    "SELECT load_extension('x')",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "PRAGMA journal_mode = wal",
    "SELECT * FROM nobody",
    "SELEC 1",
]


@pytest.mark.parametrize("query", ATTACKS)
@pytest.mark.parametrize("kind", ["csv", "duck", "sqlite"])
def test_a_query_reads_and_reads_no_other_file(
    kind: str, query: str, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(kind)
    (path.parent / "secret.csv").write_text("a\nb\n", encoding="utf-8")
    before = {each: each.read_bytes() for each in path.parent.iterdir()}
    assert refusal(path, query.format(folder=path.parent)).startswith(
        f"{path.name}: lab_table.query"
    )
    assert {each: each.read_bytes() for each in path.parent.iterdir()} == before


@pytest.mark.parametrize("kind", ["csv", "duck", "sqlite"])
def test_an_error_names_columns_and_never_values(kind: str, request: pytest.FixtureRequest) -> None:
    path: Path = request.getfixturevalue(kind)
    table = "labs" if kind == "csv" else "visits"
    assert "nothing" in refusal(path, f"SELECT nothing FROM {table}")
    if kind != "sqlite":  # which converts what it can't to 0
        said = refusal(path, f"SELECT CAST(id || '<' AS INTEGER) FROM {table}")
        assert "ConversionException" in said and "007" not in said


def test_a_query_without_rows_or_with_too_many_is_refused(csv: Path, sqlite: Path) -> None:
    assert "finds no row" in refusal(csv, "SELECT * FROM labs WHERE id = 'x'")
    for path, numbers in (
        (csv, "SELECT * FROM range(10000001)"),
        (
            sqlite,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT 1 FROM n) "
            f"SELECT {'i,' * 200} 1 FROM n",
        ),
    ):
        assert "finds more than 10 million cells; ask for" in refusal(path, numbers)


def test_a_database_that_is_written_to_is_refused(sqlite: Path, duck: Path) -> None:
    for path, end in ((sqlite, "-wal"), (duck, ".wal")):
        path.with_name(path.name + end).write_bytes(b"x")
        assert f"a file ending in {end} lies beside it" in refusal(path, "SELECT 1")


def test_other_files_are_no_tables_of_a_query(tmp_path: Path, sqlite: Path, csv: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    assert "is no file that a query reads" in refusal(tmp_path / "a.xlsx", "SELECT 1")
    assert "takes no further files" in refusal(sqlite, "SELECT 1", labs=csv)


def settings(**keys: Any) -> None:
    Table.model_validate({"path": "a.csv", **keys})


@pytest.mark.parametrize(
    "keys", [{"beside": {"a": "b.csv"}}, {"query": ""}, {"query": "x", "beside": {"a b": "c.csv"}}]
)
def test_keys_that_belong_together(keys: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        settings(**keys)
