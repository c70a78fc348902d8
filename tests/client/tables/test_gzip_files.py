"""Compressed text is read as the text is; what unpacks beyond the bound is not unpacked."""

import gzip
import time
from pathlib import Path

import pytest

from client.site import Table
from client.tables.csv_files import Cells
from client.tables.table_file import read_table
from irene_model.errors import DataError


def read(folder: Path, name: str, content: bytes) -> Cells:
    (folder / name).write_bytes(content)
    return read_table(folder / name, Table(path=Path(name)), "records")


@pytest.mark.parametrize(
    ("name", "text"), [("t.csv.gz", b"id,x\na,1\n"), ("T.TSV.GZ", b"id\tx\na\t1\n")]
)
def test_compressed_text_is_read(name: str, text: bytes, tmp_path: Path) -> None:
    halves = gzip.compress(text[:5]) + gzip.compress(text[5:])
    for content in (gzip.compress(text), halves):
        found = read(tmp_path, name, content)
        assert (found.names, found.columns, found.lines) == (["id", "x"], [["a"], ["1"]], [2])


@pytest.mark.parametrize("cut", range(3, 28, 4))
def test_what_is_cut_off_is_one_error(cut: int, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^t\.csv\.gz: is cut off, damaged"):
        read(tmp_path, "t.csv.gz", gzip.compress(b"id,x\na,1\n")[:cut])


@pytest.mark.parametrize("name", ["t.xlsx.gz", "t.gz"])
def test_other_tables_are_not_read_through_gzip(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected \.csv, \.tsv, \.txt \(or with \.gz\)"):
        read(tmp_path, name, gzip.compress(b"id"))


def test_a_bomb_is_unpacked_up_to_the_bound(tmp_path: Path) -> None:
    member = gzip.compress(bytes(1 << 24))
    packed = member * 40  # which unpack to 640 MiB
    start = time.process_time()
    with pytest.raises(DataError, match="unpacks to more than 512 MiB; unpack it and name"):
        read(tmp_path, "t.csv.gz", packed)
    assert time.process_time() - start < 20
