"""Parquet files: values as CSV would hold them, and what is none told by its kind."""

import datetime
import decimal
import gzip
import io
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from client.records.frames import Frame, read_frame
from client.site.table_files import Table
from irene_model.errors import DataError
from tests.helpers.hospital_folder import HospitalFolder


def frame(hospital: HospitalFolder, name: str, content: bytes) -> Frame:
    (hospital.folder / name).write_bytes(content)
    return read_frame(hospital.site, Table(path=Path(name)), "records")


def refusal(hospital: HospitalFolder, name: str, content: bytes) -> str:
    with pytest.raises(DataError) as caught:
        frame(hospital, name, content)
    return str(caught.value)


def parquet(**columns: pa.Array) -> bytes:
    written = io.BytesIO()
    pq.write_table(pa.table(columns), written)
    return written.getvalue()


def test_values_are_text_as_csv_would_hold_them(hospital: HospitalFolder) -> None:
    nano = pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns"))
    found = frame(
        hospital,
        "t.parquet",
        parquet(
            whole=pa.array([12.0, None]),
            beyond=pa.array([2.0**53, 2.0**60]),
            exact=pa.array([2**53 + 1, 2**60 + 1]),
            amount=pa.array([decimal.Decimal("5.50"), None], pa.decimal128(10, 2)),
            day=pa.array([datetime.date(2024, 1, 2), None]),
            nano=nano,
            yes=pa.array([True, False]),
            code=pa.array([" a\u200b", "b"]).dictionary_encode(),
            nan=pa.array([float("nan"), float("inf")]),
        ),
    )
    cells = {name: list(column.cells) for name, column in found.columns.items()}
    assert cells == {
        "whole": ["12", ""],
        "beyond": ["9.0071992547409920e+15", "1.1529215046068470e+18"],
        "exact": ["9007199254740993", "1152921504606846977"],
        "amount": ["5.50", ""],
        "day": ["2024-01-02", ""],
        "nano": ["2023-11-14 22:13:20.000000001", ""],
        "yes": ["1", "0"],
        "code": ["a", "b"],
        "nan": ["", "inf"],
    }


def test_a_column_that_holds_no_values_matters_only_where_it_is_named(
    hospital: HospitalFolder,
) -> None:
    content = parquet(id=pa.array(["a"]), many=pa.array([["I10"]]), raw=pa.array([b"\0"]))
    found = frame(hospital, "t.parquet", content)
    assert list(found.column("id", "columns.record_id").cells) == ["a"]
    with pytest.raises(DataError, match=r"'many', named by labs\.x\.column: holds lists or bytes"):
        found.column("many", "labs.x.column")
    twice = frame(hospital, "t.csv", b"id,x,x\na,1,2\n")
    with pytest.raises(DataError, match=r"'x', named by columns\.age: two columns have this name"):
        twice.column("x", "columns.age")


def workbook() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
    return written.getvalue()


WHOLE = parquet(id=pa.array(["a", "b"]))
CSV = b"id,text\na,x\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.parquet", CSV, "is no Parquet file, whatever its name says; if it is text, name it"),
        ("t.parquet", WHOLE[:-20], "is a Parquet file that is cut off; copy or export it again"),
        ("t.parquet", WHOLE[:-30] + b"\xff" * 22 + WHOLE[-8:], "is a damaged Parquet file"),
        ("t.parquet", b"PARE" + WHOLE[4:], "is an encrypted Parquet file"),
        ("t.parquet", b"", "is empty, it holds no byte"),
        ("t.parquet", b"PAR1", "is a damaged Parquet file"),
        ("t.csv", WHOLE, "is a Parquet file, not what its name says; name it .parquet"),
        ("t.csv", workbook(), "is an Excel workbook (.xlsx) or another zip archive"),
        ("t.xlsx", workbook(), "is a zip archive and no Excel workbook (.xlsx)"),
        ("t.xls", b"\xd0\xcf\x11\xe0\xa1\xb1", "is an old Excel workbook (.xls)"),
        ("t.xls", b"\r\n<html><table>", "is XML or a web page"),
        ("t.csv", gzip.compress(CSV, mtime=0), "is compressed by gzip"),
        ("t.csv", b'{"id": 1}', "is JSON"),
        ("t.dat", CSV, "expected .csv, .tsv, .txt (or with .gz), .xlsx or .parquet"),
        ("t.csv", b"Id,Text\nid,text\na,x\n", None),
    ],
)
def test_what_is_no_such_table_is_told_by_its_kind(
    hospital: HospitalFolder, name: str, content: bytes, said: str | None
) -> None:
    if said is not None:
        assert said in refusal(hospital, name, content)
        return
    with pytest.raises(DataError, match=r"line 2 has it: delete what stands above the header"):
        frame(hospital, name, content).column("text", "columns.text")


@pytest.mark.parametrize("cut", range(1, len(WHOLE), 23))
def test_a_cut_parquet_file_is_one_error(hospital: HospitalFolder, cut: int) -> None:
    assert "\n" not in refusal(hospital, "t.parquet", WHOLE[:cut])
