"""Labels: which cells are events, which are not, and which are not guessed."""

from collections.abc import Sequence

import pytest

from client.cells.cell_error import CellError
from client.cells.labels import label_reader
from client.site.columns import LabelColumn
from client.site.missing import MissingWords
from irene_model.errors import DataError
from tests.client.records.test_tables import records_of
from tests.helpers.hospital_folder import HospitalFolder


def filled(*cells: str, **listed: Sequence[str]) -> list[int | None]:
    """What rule `filled` makes of the cells of one column."""
    column = LabelColumn.model_validate({"column": "c", "rule": "filled", **listed})
    read = label_reader("death", column, MissingWords(), cells)
    return [read(cell) for cell in cells]


def binary(*cells: str, **listed: Sequence[str]) -> list[int | None]:
    column = LabelColumn.model_validate({"column": "c", **listed})
    read = label_reader("death", column, MissingWords(), cells)
    return [read(cell) for cell in cells]


def doubt(*cells: str) -> str:
    with pytest.raises(CellError) as caught:
        filled(*cells)
    return str(caught.value)


def test_binary_cells() -> None:
    cells = ("", "0", "1", "0.0", "1.0", "NA", "-", "unknown", "NULL", "?")
    assert binary(*cells) == [None, 0, 1, 0, 1, *[None] * 5]
    for cell in ("2", "yes", "0.5", "-1", "true", "pos"):
        with pytest.raises(CellError, match=r"expected 0, 1 or empty .*labels\.death\.positive"):
            binary(cell)


def test_listed_cells_mean_what_the_site_says() -> None:
    cells = ("Yes", "no", "-1", "-1.0", "", "1", "?")
    listed = {"positive": ["yes"], "negative": ["NO", "?"], "unknown": ["-1"]}
    assert binary(*cells, **listed) == [1, 0, None, None, None, 1, 0]
    assert filled("0", "unknown", "12", "", **{"positive": ["0"], "unknown": ["unknown"]}) == [
        *(1, None, 1, 0)
    ]
    with pytest.raises(ValueError, match="'x' is listed both as positive and as"):
        LabelColumn(column="c", positive=("x",), negative=("x",))


@pytest.mark.parametrize(
    "no",
    [
        *("", "NA", "N/A", "NaN", "NULL", "None", "NaT", "-", "--", ".", "\\N", "#N/A", "#NULL!"),
        *("0", "0.0", "no", "No", "NO", "n", "false", "nein", "non", "kein", "neg", "negativ"),
        *("0000-00-00", "not applicable", "alive", "lebt"),
    ],
)
def test_no_event(no: str) -> None:
    """Beside a date, which is one."""
    assert filled(no, "2024-01-01") == [0, 1]


@pytest.mark.parametrize(
    "event",
    [
        *("2024-01-01", "2024-01-01 10:00:00", "03.05.2024", "3.0", "-3.0", "12", "1", "yes", "ja"),
        *("true", "x", "X", "✓", "+", "J18.9", "sepsis", "Exitus letalis"),
    ],
)
def test_an_event(event: str) -> None:
    assert filled(event, "") == [1, 0]


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        ("?", "a word for unknown"),
        ("unknown", "a word for unknown"),
        ("unbekannt", "a word for unknown"),
        ("n.d.", "a word for unknown"),
        ("not done", "a word for unknown"),
        ("9999-12-31", "a date that stands for none or for never"),
        ("1900-01-01", "a date that stands for none or for never"),
        ("-99", "a number that often codes no or unknown"),
        ("9999", "a number that often codes no or unknown"),
        ("2", "a number that often codes no or unknown"),
        ("9", "a number that often codes no or unknown"),
        ("99.0", "a number that often codes no or unknown"),
        ("-1", "a number that often codes no or unknown"),
        ("z", "text that may mean no, or maybe"),
        ("2024-01-01?", "text that may mean no, or maybe"),
        ("no pneumonia", "text that may mean no, or maybe"),
        ("kein Anhalt", "text that may mean no, or maybe"),
        ("Verdacht auf Pneumonie", "text that may mean no, or maybe"),
        ("V. a. Pneumonie", "text that may mean no, or maybe"),
        ("non-Hodgkin", "text that may mean no, or maybe"),
        ("possible", "text that may mean no, or maybe"),
    ],
)
def test_what_is_doubtful_is_refused_by_kind(cell: str, kind: str) -> None:
    said = doubt("2024-01-01", cell)
    assert said.startswith(f"is {kind}")
    assert said.endswith("in labels.death.positive, .negative or .unknown")


def test_what_a_zero_means_hangs_on_its_neighbours() -> None:
    assert filled("0", "1", "") == [0, 1, 0]
    assert filled("0", "2024-01-01") == [0, 1]
    assert filled("0.0", "-2.0", "3.0") == [1, 1, 1]  # days before and after: this is day 0
    assert "0 beside other numbers" in doubt("5", "0", "12")
    assert filled("-1", "-4", "0") == [1, 1, 1]  # days before


def test_a_code_among_its_like_is_a_day() -> None:
    assert filled("-9", "-8", "-1", "0", "") == [1, 1, 1, 1, 0]
    assert filled("2", "9", "5", "") == [1, 1, 1, 0]
    assert "codes no or unknown" in doubt("-9", "-2", "3")
    assert "codes no or unknown" in doubt("999", "12", "3")
    assert "codes no or unknown" in doubt("1", "2")


def test_a_refusal_counts_and_names_lines(hospital: HospitalFolder) -> None:
    for row in (1, 5, 8):
        hospital.set_cell(row, "death_offset", "unbekannt")
    with pytest.raises(DataError) as caught:
        records_of(hospital)
    said = str(caught.value)
    assert said.startswith("encounters.csv line 4, column 'death_offset': is a word for unknown")
    assert "(and 2 more like it: lines " in said and "unbekannt" not in said


@pytest.mark.parametrize("word", ["NA", "0", "no", "NaT", "-", "NULL"])
def test_no_word_for_no_makes_an_event(hospital: HospitalFolder, word: str) -> None:
    rows = hospital.rows()
    expected = [int(row["death_offset"] != "") for row in rows]
    hospital.write_rows(
        [{**row, "death_offset": "2024-01-01" if row["death_offset"] else word} for row in rows]
    )
    assert [record.labels["death"] for record in records_of(hospital)] == expected
    assert 0 < sum(expected) < len(expected)
