"""One hospital in the dialects of the world: whoever wrote the files, the records are the same."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.records.tables import read_records
from client.site.site import Site
from irene_model.study.records import Record
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY

Row = dict[str, Any]
FINE = st.floats(0.05, 9e4).map(lambda value: round(value, 3))
ROWS = st.lists(
    st.fixed_dictionaries({
        "age": st.integers(0, 89), "sex": st.sampled_from(["f", "m", None]),
        "crp": st.none() | FINE, "lympho": st.none() | FINE,
        "sign": st.sampled_from(["", "<", ">"]), "pneumonia": st.sampled_from([0, 1, None]),
        "complaint": st.sampled_from([None, "cough", "fever"]),
        "history": st.sampled_from([None, "asthma"]),
    }),
    min_size=1, max_size=8,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """number, cells: how a number and the other columns are written. site: what site.yaml says."""

    number: Callable[[float], str]
    cells: Callable[[Row], Row]
    site: dict[str, Any]
    separator: str = ","
    parquet: bool = False
    table: dict[str, Any] = field(default_factory=dict)


def english(row: Row) -> Row:
    return {
        "age": str(row["age"]), "sex": row["sex"] or "", "pneumonia": row["pneumonia"],
        "complaint": row["complaint"] or "", "history": row["history"] or "",
    }  # fmt: skip


def german(row: Row) -> Row:
    return {
        "age": f"{row['age']:03d}Y",
        "sex": {"f": "W", "m": "M", None: "D"}[row["sex"]],
        "pneumonia": {1: "I10; J18.9 G", 0: "I10", None: "J18.9 V"}[row["pneumonia"]],
        "complaint": row["complaint"] or "k. A.",
        "history": row["history"] or "-",
    }


def swiss(row: Row) -> Row:
    words = {1: "Pneumonia|Effusion", 0: "No Finding", None: ""}
    return {**english(row), "age": row["age"] * 12, "pneumonia": words[row["pneumonia"]]}


def grouped(thousands: str, decimal: str) -> Callable[[float], str]:
    signs = {",": thousands, ".": decimal}
    return lambda value: "".join(signs.get(sign, sign) for sign in f"{value:,.3f}")


TEXTS = {"columns": ["complaint", "history"]}
DEATH = {"column": "record", "rule": "filled"}  # a record without any label is no use
DIALECTS = {
    "plain": Dialect(
        number=str, cells=english, table={},
        site={"age": "age", "sex": {"column": "sex"}, "label": {"column": "pneumonia"}},
    ),
    "german": Dialect(
        number=grouped(".", ","), cells=german, separator=";",
        table={"separator": ";", "decimal": ",", "thousands": "."},
        site={
            "age": {"column": "age", "unit": "years"},
            "sex": {"column": "sex", "female": ["w"], "male": ["m"], "unknown": ["d"]},
            "label": {"columns": ["pneumonia"], "icd10": ["J12-J18"]},
        },
    ),
    "swiss": Dialect(
        number=grouped("'", "."), cells=swiss, table={"thousands": "'"},
        site={
            "age": {"column": "age", "unit": "months"}, "sex": {"column": "sex"},
            "label": {"column": "pneumonia", "names": ["pneumonia"]},
        },
    ),
    "parquet": Dialect(
        number=grouped(" ", ","), cells=german, parquet=True,
        table={"decimal": ",", "thousands": " "},
        site={
            "age": "age",
            "sex": {"column": "sex", "female": ["W"], "male": ["M"], "unknown": ["D"]},
            "label": {"column": "pneumonia", "icd10": ["J18"]},
        },
    ),
}  # fmt: skip


def records_in(dialect: Dialect, rows: list[Row], folder: Path) -> tuple[Record, ...]:
    """The hospital's files in a dialect, and its records as the client reads them."""

    def number(value: float | None, sign: str = "") -> str:
        return "" if value is None else f"{sign}{dialect.number(value)}"

    written = [
        {
            "record": f"R{n}", "patient": f"P{n}", **dialect.cells(row),
            "crp": number(row["crp"], row["sign"]), "lympho": number(row["lympho"]),
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip
    path = folder / ("t.parquet" if dialect.parquet else "t.csv")
    if dialect.parquet:
        columns = {name: [row[name] for row in written] for name in written[0]}
        columns["lympho"] = [row["lympho"] for row in rows]  # as numbers
        pq.write_table(pa.table(columns), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(written[0]), delimiter=dialect.separator)
            writer.writeheader()
            writer.writerows(written)
    labs = {"CRP": ("crp", "mg/L"), "lymphocytes": ("lympho", "10^9/L")}
    said = {key: value for key, value in dialect.site.items() if key != "label"}
    site = Site.model_validate({
        "site": "north", "folder": folder, "budget": "none",
        "records": {"path": path.name, **dialect.table},
        "columns": {"patient_id": "patient", "record_id": "record", "text": TEXTS, **said},
        "labs": {name: {"column": c, "unit": unit} for name, (c, unit) in labs.items()},
        "labels": {"pneumonia": dialect.site["label"], "death": DEATH},
        "splits": {"validation": 0, "test": 0},
    })  # fmt: skip
    return read_records(site, Study.model_validate(STUDY))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dialects")


@settings(max_examples=40, deadline=None)
@given(ROWS)
def test_the_records_are_the_same_in_all(folder: Path, rows: list[Row]) -> None:
    plain = records_in(DIALECTS["plain"], rows, folder)
    assert [record.age_years for record in plain] == [row["age"] for row in rows]
    assert [record.labels.get("pneumonia") for record in plain] == [r["pneumonia"] for r in rows]
    assert [record.labs.get("lymphocytes") for record in plain] == [row["lympho"] for row in rows]
    sides = {"": None, "<": -math.inf, ">": math.inf}
    for record, row in zip(plain, rows, strict=True):
        read = None if row["crp"] is None else sides[row["sign"]] or row["crp"]
        assert record.labs.get("CRP") == read
    for name in ("german", "swiss", "parquet"):
        assert records_in(DIALECTS[name], rows, folder) == plain, name
