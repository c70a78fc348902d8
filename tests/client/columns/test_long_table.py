"""A long laboratory table, however its file is read, against one row after another by hand."""

import csv
import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from client.check.quality import inspect
from client.columns.long_table import read_rows
from client.records.tables import read_records
from client.site.site import Site
from client.site.table_files import LabTable
from client.tables.plain_text import OddTable
from tests.helpers.hospital_folder import HospitalFolder

HEADER = ("record", "loinc", "value", "unit", "taken", "sign", "remark")
TESTS = {"1988-5": "CRP", "L-CRP": "CRP", "731-0": "lymphocytes"}
UNITS = {"CRP": {"mg/L": 1.0, "mg/dL": 10.0}, "lymphocytes": {"10^9/L": 1.0, "/nL": 1.0}}
TIMES = {
    "2024-01-09 08:00": datetime(2024, 1, 9, 8),
    "2024-01-10T11:00:30": datetime(2024, 1, 10, 11, 0, 30),
    "2024-01-10 13:00:00.25": datetime(2024, 1, 10, 13),
    "10.01.2024 11:00": datetime(2024, 1, 10, 11),
    "10.1.2024": datetime(2024, 1, 10),
    "2024-01-10 23:00+01:00": datetime(2024, 1, 10, 22),
    "2024-01-12": datetime(2024, 1, 12),
    "": None,
    "unknown": None,
}
VALUES = {
    "4": 4.0,
    "7": 7.0,
    "6,5": 6.5,
    "0,125": 0.125,
    "20": 20.0,
    "1e2": 100.0,
    "": None,
    "n/a": None,
}
WINDOWS = (None, None, {"before": 24.0, "after": 6.0}, {"after": 48.0})
TAKES = ("first", "last", "nearest", "mean")
IMAGED = datetime(2024, 1, 10, 12)
INF = float("inf")


def drawn_rows(rng: random.Random, records: list[str]) -> list[tuple[str, ...]]:
    """Rows as an export may have them: of strangers, of other tests, without value or time."""
    rows = []
    for number in range(rng.randrange(1, 60)):
        code = rng.choice([*TESTS, "L-CRP ", "9999-9", "LOCAL", ""])
        units = UNITS.get(TESTS.get(code.strip(), ""), {"?": 1.0})
        value = rng.choice([*VALUES, " 4", "<3", "inf", "low"])
        sign = rng.choice(["", "", "=", "<", "ge"]) if value in VALUES else ""
        cells = (
            rng.choice([*records, *records, "R-999", f" {records[0]}"]),
            *(code, value, rng.choice([*units]), rng.choice([*TIMES])),
            *(sign, rng.choice([f"remark {number}", 'he said "no"', "a, b", "ü"])),
        )
        rows.append(cells)
    return [*rows, (records[0], "1988-5", "7", "mg/L", "2024-01-12", "", "")]


def by_hand(
    rows: list[tuple[str, ...]], records: list[str], take: str, window: dict[str, float] | None
) -> tuple[dict[tuple[str, str], float], Counter[str]]:
    """(record, test) -> value; why rows are rejected -> how many."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    rejected: Counter[str] = Counter()
    timed = take != "mean" or window is not None
    for record, code, cell, unit, taken, sign, _ in rows:
        name = TESTS.get(code.strip())
        value = measured(cell.strip(), sign)
        time = TIMES[taken]
        hours = 0.0 if time is None else (time - IMAGED) / timedelta(hours=1)
        if name is None:
            rejected["a test that the study does not ask for"] += 1
        elif value is None:
            rejected["no value"] += 1
        elif record.strip() not in records:
            rejected["no record has its key"] += 1
        elif timed and time is None:
            rejected["no time, or a record without one"] += 1
        elif window and not -window.get("before", 0) <= hours <= window["after"]:
            rejected["outside the window"] += 1
        else:
            found[record.strip(), name].append((hours, value * UNITS[name][unit]))
    chosen = {}
    for key, values in found.items():
        if take == "mean":
            chosen[key] = mean_by_hand([value for _, value in values])
            continue
        rejected["another value of the record is taken"] += len(values) - 1
        order = {
            "first": lambda each: each[0],
            "last": lambda each: -each[0],
            "nearest": lambda each: (abs(each[0]), each[0]),
        }[take]
        chosen[key] = min(values, key=order)[1]
    return {key: value for key, value in chosen.items() if value is not None}, +rejected


def measured(cell: str, sign: str) -> float | None:
    if cell in {"<3", "low"}:
        return -INF
    if cell == "inf":
        return INF
    value = VALUES[cell]
    return value if value is None else {"<": -INF, "ge": INF}.get(sign, value)


def mean_by_hand(values: list[float]) -> float | None:
    finite = [value for value in values if abs(value) < INF]
    if finite:
        return fmean(finite)
    balance = sum(1 if value > 0 else -1 for value in values)
    return INF if balance > 0 else -INF if balance < 0 else None


def write(path: Path, rows: list[tuple[str, ...]], form: str) -> None:
    if path.suffix == ".parquet":
        columns = zip(HEADER, zip(*rows, strict=True), strict=True)
        table = pa.table({name: pa.array(cells) for name, cells in columns})
        coded = table["loinc"].combine_chunks().dictionary_encode()
        pq.write_table(table.set_column(1, "loinc", coded), path, row_group_size=7)
        return
    with path.open("w", encoding="cp1252" if form == "cp1252" else "utf-8", newline="") as file:
        quoting = csv.QUOTE_ALL if form == "quoted" else csv.QUOTE_MINIMAL
        writer = csv.writer(
            file, lineterminator="\r\n" if form == "cp1252" else "\n", quoting=quoting
        )
        writer.writerows([HEADER, *rows[:1]])
        if form == "odd":
            file.write("\n")
        writer.writerows(rows[1:])


FORMS = {
    "plain": ".csv",
    "quoted": ".csv",
    "cp1252": ".csv",
    "odd": ".csv",
    "parquet": ".parquet",
}


@pytest.mark.parametrize("form", FORMS)
def test_every_way_of_reading_gives_what_is_found_by_hand(
    hospital: HospitalFolder, form: str
) -> None:
    rng = random.Random(form)
    records = hospital.rows()
    hospital.write_rows([{**row, "imaged": "10.01.2024 12:00"} for row in records])
    ids = [row["record_id"] for row in records]
    hospital.configure("labs", None)
    hospital.configure("words", {"low": "<"})
    path = hospital.folder / f"labs{FORMS[form]}"
    for number in range(12):
        rows, take, window = drawn_rows(rng, ids), rng.choice(TAKES), rng.choice(WINDOWS)
        if form == "odd":
            rows[1:1] = [(*rows[0][:-1], "of two\nlines")]
        write(path, rows, form)
        table: dict[str, Any] = {
            "path": path.name,
            **{"on": "record", "test": "loinc", "value": "value", "unit": "unit"},
            **{"time": "taken", "at": "imaged", "comparator": "sign", "decimal": ","},
            **{"matched": 0.0, "take": take, "codes": {"CRP": ["L-CRP"]}},
        }
        if form == "cp1252":
            table["encoding"] = form
        hospital.configure("lab_table", table if window is None else {**table, "window": window})
        expected, rejected = by_hand(rows, ids, take, window)
        found = {
            (record.record_id, name): value
            for record in read_records(hospital.site, hospital.study)
            for name, value in record.labs.items()
        }
        said = f"table {number}, {take}, {window}"
        assert found.keys() == expected.keys(), said
        assert found == pytest.approx(expected, rel=1e-12), said
        tables = inspect(hospital.site, hospital.study).coverage.tables
        (counts,) = [each for each in tables if each.key == "lab_table"]
        assert dict(counts.rejected) == dict(rejected), said
        assert counts.rows == len(rows) == counts.used + sum(rejected.values()), said
        assert read_in_parts(hospital.site) == (form != "odd"), said


def read_in_parts(site: Site) -> bool:
    """Whether the file is plain enough."""
    table = site.lab_table
    assert isinstance(table, LabTable)
    try:
        read_rows(
            site,
            table,
            "lab_table",
            [table.test, table.on],
            (),
            by=table.test,
            asked=bool,
            times=None,
        )
    except OddTable:
        return False
    return True


ODD = {
    "a line without a cell": "record,loinc\nR1,x\n\nR2,x\n",
    "cells without a content": "record,loinc\nR1,x\n ,\nR2,x\n",
    "a cell of two lines": 'record,loinc\n"R\n1",x\n',
    "a quote within a cell": 'record,loinc\nR1,x\nR2,5"\n',
    "a quote left open": 'record,loinc\nR1,x\n"R2,x\n',
    "text after a quote": 'record,loinc\n"R1"a,x\n',
    "an escaped quote": 'record,loinc\n"R\\"1",x\n',
    "the header again": "record,loinc\nR1,x\nrecord,loinc\n",
    "a cell too many": "record,loinc\nR1,x\nR1,x,1\n",
    "a cell too few": "record,loinc\nR1,x\nR1\n",
    "a lone return": "record,loinc\nR1,x\rR2,x\n",
    "a zero byte": "record,loinc\nR1,x\nR\0,x\n",
    "the end of DOS": "record,loinc\nR1,x\n\x1a",
    "two alike names": "record,loinc,loinc\nR1,x,x\n",
    "no name": "record,loinc,,\nR1,x,,\n",
    "no rows": "record,loinc\n",
    "a line for Excel": "sep=,\nrecord,loinc\nR1,x\n",
    "markup": "<a>,loinc\nR1,x\n",
    "not the column": "record,code\nR1,x\n",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_plain_is_left_to_the_reader_that_minds(tmp_path: Path, name: str) -> None:
    (tmp_path / "labs.csv").write_text(ODD[name], encoding="utf-8", newline="")
    assert not read_in_parts(small_site(tmp_path, "labs.csv"))


@pytest.mark.parametrize(
    "text",
    [
        "record,loinc\nR1,x\nR2,y",
        "record,loinc\r\nR1,x\r\nR2,y\r\n\r\n\n",
        'record,loinc\n"R1","x, ""or"" y"\nR2,""\n',
        '\ufeffrecord;loinc\nR1;ü\n"";y\n',
    ],
)
def test_what_is_plain_is_read_in_parts(tmp_path: Path, text: str) -> None:
    (tmp_path / "labs.csv").write_text(text, encoding="utf-8", newline="")
    separator = ";" if ";" in text else ","
    assert read_in_parts(small_site(tmp_path, "labs.csv", separator=separator))


@pytest.mark.parametrize(("start", "lines"), [(7, 8), (1_200_000, 1_200_001)])
def test_a_refusal_names_the_line_far_down(tmp_path: Path, start: int, lines: int) -> None:
    """Beyond the first part of the file too."""
    path = tmp_path / "labs.csv"
    body = "R1,2024-01-01\n" * (start - 1)
    path.write_text(f"record,loinc\n{body}R1,soon\n" + "R1,2024-01-02\n" * 9, encoding="utf-8")
    site = small_site(tmp_path, "labs.csv")
    table = site.lab_table
    assert table is not None
    read = read_rows(
        site, table, "lab_table", ["record", "loinc"], (), by="record", asked=bool, times=None
    )
    column = read.columns["loinc"]
    (row,) = column.rows_of(["soon"])
    assert (column.place(row), read.rows) == (f"labs.csv line {lines}", start + 9)


def small_site(folder: Path, name: str, **more: str) -> Site:
    table = {"path": name, "on": "record", "test": "loinc", "value": "v", "unit": "u", **more}
    document = {
        "site": "north",
        "records": {"path": "records.csv"},
        "columns": {"patient_id": "p", "record_id": "r"},
        "labels": {"a": {"column": "a"}},
        "budget": "none",
        "lab_table": table,
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return Site.read(folder / "site.yaml")
