"""Workbooks as people keep them: the cells that CSV would hold, or what to mend."""

import datetime as dt
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from client.site import Table
from client.tables.csv_files import Cells
from client.tables.table_file import read_table
from irene_model.errors import DataError

ROWS = [["id", "crp", "seen"], ["007", 12345, dt.date(2024, 1, 31)], ["008", 0.5, None]]
Change = Callable[[Any], object]


def written(folder: Path, change: Change = lambda book: None, rows: Any = ROWS) -> Path:
    book = openpyxl.Workbook()
    book.active.title = "Data"
    for row in rows:
        book.active.append(row)
    change(book)
    book.save(folder / "t.xlsx")
    return folder / "t.xlsx"


def read(path: Path, **settings: Any) -> Cells:
    return read_table(path, Table(path=Path(path.name), **settings), "records")


def cells(value: Any, folder: Path, shown_as: str = "General", **settings: Any) -> str:
    def change(book: Any) -> None:
        book.active["B2"].value = value
        book.active["B2"].number_format = shown_as

    found = read(written(folder, change, [["id", "x"], ["a", None]]), **settings)
    return found.columns[0 if len(found.columns) == 1 else 1][0]


def refusal(path: Path, **settings: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    return str(caught.value)


def test_a_sheet_is_what_csv_would_hold(tmp_path: Path) -> None:
    found = read(written(tmp_path))
    assert found.names == ["id", "crp", "seen"]
    assert found.columns == [["007", "008"], ["12345", "0.5"], ["2024-01-31", ""]]
    assert (found.lines, found.numeric) == ([2, 3], {"crp"})
    assert found.counted == "sheet 'Data' row"


@pytest.mark.parametrize(
    ("value", "shown_as", "text"),
    [
        ("0012", "General", "0012"),
        (" x ", "General", "x"),
        (12345.0, "0.00", "12345"),
        (-3, "0", "-3"),
        (0.1 + 0.2, "General", "0.3"),
        (1e15, "0", "1000000000000000"),
        (1e17, "0", "1.0000000000000000e+17"),
        (123, "00000", "00123"),
        (-123, "00000", "-00123"),
        (True, "General", "1"),
        (dt.datetime(2024, 1, 31, 12, 30), "yyyy-mm-dd hh:mm", "2024-01-31 12:30:00"),
        (dt.time(8, 5), "hh:mm", "08:05:00"),
        (dt.timedelta(hours=30), "[h]:mm:ss", "30:00:00"),
        ("<0,5", "General", "<0,5"),
    ],
)
def test_a_cell_comes_as_text(value: Any, shown_as: str, text: str, tmp_path: Path) -> None:
    assert cells(value, tmp_path, shown_as) == text


def test_numbers_among_text_take_the_decimal_sign_of_the_text(tmp_path: Path) -> None:
    rows = [["id", "crp"], ["a", 1.5], ["b", "<0,5"]]
    assert read(written(tmp_path, rows=rows), decimal=",").columns[1] == ["1,5", "<0,5"]
    rows[2][1] = 2
    assert read(written(tmp_path, rows=rows), decimal=",").columns[1] == ["1.5", "2"]


@pytest.mark.parametrize(
    ("value", "shown_as", "said"),
    [
        ("#REF!", "General", "row 2 holds an error of a formula"),
        ("=1+1", "General", "row 2 holds a formula whose result is not stored"),
        (0.15, "0%", "shows numbers as percent"),
    ],
)
def test_a_column_that_would_lose_its_values_is_harmless_until_it_is_mapped(
    value: Any, shown_as: str, said: str, tmp_path: Path
) -> None:
    def change(book: Any) -> None:
        book.active["B2"].value, book.active["B2"].number_format = value, shown_as
        if str(value).startswith("#"):
            book.active["B2"].data_type = "e"

    found = read(written(tmp_path, change))
    assert found.names == ["id", "seen"] and said in found.unread["crp"]


def test_not_available_is_missing(tmp_path: Path) -> None:
    def change(book: Any) -> None:
        book.active["B2"].value, book.active["B2"].data_type = "#N/A", "e"

    assert read(written(tmp_path, change)).columns[1] == ["", "0.5"]


def hide(book: Any) -> None:
    book.active.row_dimensions[3].hidden = True


def merge(book: Any) -> None:
    book.active.merge_cells("A2:A3")


def title(book: Any) -> None:
    book.active.insert_rows(1)
    book.active["A1"] = "Export of January"
    book.active.merge_cells("A1:C1")


def plain_title(book: Any) -> None:
    book.active.insert_rows(1)
    book.active["A1"] = "Export of January"


def second_sheet(book: Any) -> None:
    book.create_sheet("More").append(["id"])


def far_cell(book: Any) -> None:
    book.active["XFD1048576"] = 1


def header_again(book: Any) -> None:
    book.active.append(ROWS[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (hide, "t.xlsx sheet 'Data' row 3: is hidden"),
        (merge, "t.xlsx sheet 'Data' row 2: cells are merged"),
        (title, "t.xlsx sheet 'Data' row 1: cells are merged, of which only the first holds the "),
        (plain_title, "is there a title above the header?"),
        (second_sheet, "t.xlsx: has several sheets, 'Data', 'More'; name one in records.sheet"),
        (far_cell, "more than 10 million cells"),
        (header_again, "t.xlsx sheet 'Data' row 4: repeats the header"),
    ],
)
def test_what_would_be_read_otherwise_than_it_looks_is_refused(
    change: Change, said: str, tmp_path: Path
) -> None:
    assert said in refusal(written(tmp_path, change))


def test_a_sheet_is_chosen_by_its_name(tmp_path: Path) -> None:
    path = written(tmp_path, lambda book: [second_sheet(book), book["More"].append(["b"])])
    assert read(path, sheet="More").columns == [["b"]]
    assert "has no sheet that records.sheet names; it has 'Data', 'More'" in refusal(
        path, sheet="more"
    )


def test_sheets_that_are_empty_or_hidden_are_no_choice(tmp_path: Path) -> None:
    def change(book: Any) -> None:
        book.create_sheet("Sheet2")
        second_sheet(book)
        book["More"].sheet_state = "hidden"

    assert read(written(tmp_path, change)).columns[0] == ["007", "008"]


def test_a_table_may_begin_further_down_and_to_the_right(tmp_path: Path) -> None:
    def change(book: Any) -> None:
        book.active.insert_rows(1, 2)
        book.active.insert_cols(1, 2)

    found = read(written(tmp_path, change))
    assert (found.names, found.lines) == (["id", "crp", "seen"], [4, 5])


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = written(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/media/a.bin", b"")
        archive.filelist[-1].file_size = 600 << 20  # as the archive's list announces it
    start = time.process_time()
    assert "unpacks to more than 512 MiB; save the sheet as CSV" in refusal(path)
    assert time.process_time() - start < 1


def rewritten(path: Path, part: str, content: bytes) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in {**parts, part: content}.items():
            archive.writestr(name, content if name == part else old)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<worksheet>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><worksheet>&b;</worksheet>',
        b'<worksheet><sheetData><row r="x"/></sheetData></worksheet>',
        b'<worksheet><sheetData><row><c r="ZZZZ1"><v>1</v></c></row></sheetData></worksheet>',
        b'<worksheet><sheetData><row><c t="s"><v>77</v></c></row></sheetData></worksheet>',
    ],
)
@pytest.mark.parametrize("part", ["xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"])
def test_a_damaged_part_is_one_error(part: str, content: bytes, tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), part, content)
    try:
        read(path)
    except DataError as error:
        assert str(error).startswith("t.xlsx") and "\n" not in str(error)
    else:
        assert part == "xl/styles.xml"  # whose styles are then unknown


def test_what_is_cut_off_or_no_workbook_is_one_error(tmp_path: Path) -> None:
    content = written(tmp_path).read_bytes()
    path = tmp_path / "cut.xlsx"
    for end in range(40, len(content), 517):
        path.write_bytes(content[:end])
        assert "is a damaged Excel workbook" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert "no Excel workbook" in refusal(path)
