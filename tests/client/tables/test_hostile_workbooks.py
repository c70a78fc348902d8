"""Workbooks that are small on the disk and made to be large in memory: each is refused by name."""

import struct
import zipfile
from pathlib import Path

import openpyxl
import pytest

from client.site import Table
from client.tables import sheet_marks
from client.tables.table_file import read_table
from client.tables.workbook_parts import MOST_DIRECTORY, MOST_MARKUP, MOST_TEXT
from irene_model.errors import DataError

SHEET, STYLES, STRINGS = "xl/worksheets/sheet1.xml", "xl/styles.xml", "xl/sharedStrings.xml"


def refusal(folder: Path, part: str, mark: bytes, more: bytes, **packing: int) -> str:
    """What is said of a workbook one of whose parts holds `more` before its first `mark`."""
    book = openpyxl.Workbook()
    for row in (["id", "crp"], ["a", 1]):
        book.active.append(row)
    path = folder / "t.xlsx"
    book.save(path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts.setdefault(STRINGS, b"<sst></sst>")
    parts[part] = parts[part].replace(mark, more + mark, 1)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, **packing)
    with pytest.raises(DataError) as error:
        read_table(path, Table(path=Path("t.xlsx")), "records")
    return str(error.value)


def test_a_part_that_would_be_held_as_a_tree_is_bounded(tmp_path: Path) -> None:
    said = refusal(tmp_path, STYLES, b"</cellXfs>", b" " * MOST_MARKUP)
    assert said.startswith("t.xlsx: xl/styles.xml holds more than 16 MiB; save the sheet as CSV")


def test_a_list_of_parts_without_end_is_not_read(tmp_path: Path) -> None:
    parts = MOST_DIRECTORY // 46 + 1  # each an entry of the directory, without name or content
    entry = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, parts * len(entry), 0, 0)
    path = tmp_path / "t.xlsx"
    path.write_bytes(entry * parts + end)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.infolist()) == parts  # what it would be read as
    with pytest.raises(DataError, match=r"t\.xlsx: is a damaged Excel workbook"):
        read_table(path, Table(path=Path("t.xlsx")), "records")


def test_the_strings_of_a_workbook_are_bounded(tmp_path: Path) -> None:
    said = refusal(tmp_path, STRINGS, b"</sst>", b" " * MOST_TEXT)
    assert said.startswith("t.xlsx: holds text of more than 128 MiB; save the sheet as CSV")


def test_a_sheet_that_a_workbook_names_twice_is_not_read_twice(tmp_path: Path) -> None:
    again = b'<sheet name="again" sheetId="2" r:id="rId1" state="visible"/>'
    said = refusal(tmp_path, "xl/workbook.xml", b"</sheets>", again)
    assert "is a damaged Excel workbook" in said


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_no_workbook_has_is_not_undone(method: int, tmp_path: Path) -> None:
    said = refusal(tmp_path, SHEET, b"</sheetData>", b"", compress_type=method)
    assert "is a damaged Excel workbook" in said


def test_merged_cells_are_counted_as_they_are_read(tmp_path: Path) -> None:
    more = b'<mergeCell ref="B2:C2"/>' * (sheet_marks.MOST_MERGED + 1)
    assert "more than 10,000 ranges of merged cells" in refusal(
        tmp_path, SHEET, b"</worksheet>", b"<mergeCells>" + more + b"</mergeCells>"
    )


def test_cells_are_counted_that_share_one_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sheet_marks, "MOST_CELLS", 1000)
    more = b"<row>" + b'<c r="A3"><v>1</v></c>' * 1001 + b"</row>"
    said = refusal(tmp_path, SHEET, b"</sheetData>", more)
    assert "sheet 'Sheet': holds more than" in said and "delete what stands far" in said
