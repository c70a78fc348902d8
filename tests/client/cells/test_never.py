"""Dates that stand for none, as programs write them in many orders: never an event in silence."""

import pytest

from client.cells.cell_error import CellError
from client.cells.labels import label_reader
from client.site import LabelColumn, MissingWords

READ = label_reader("death", LabelColumn(column="d", rule="filled"), MissingWords(), [])


@pytest.mark.parametrize(
    "cell",
    [
        *("9999-12-31", "31.12.9999", "12/31/9999", "9999-12-31T00:00:00", "31-12-2999"),
        *("1900-01-01", "01.01.1900", "1/1/1900", "30.12.1899", "1753-01-01 00:00:00.000"),
        *("0001-01-01", "01/01/0001", "1111-11-11", "4000/01/01", "1970-01-01", "01.01.1970"),
        *("31/12/2099", "12/31/2099"),
    ],
)
def test_a_date_for_never_is_refused(cell: str) -> None:
    with pytest.raises(CellError, match="stands for none or for never") as caught:
        READ(cell)
    assert cell not in str(caught.value)


@pytest.mark.parametrize(
    "cell",
    ["2024-01-02", "02.01.2024", "1/2/2024", "2153-07-04 12:00:00", "1970-01-02", "11.11.2011"],
)
def test_a_date_is_an_event(cell: str) -> None:
    assert READ(cell) == 1


@pytest.mark.parametrize("cell", ["0000-00-00", "00.00.0000", "", "NaT"])
def test_a_date_of_zeros_is_none(cell: str) -> None:
    assert READ(cell) == 0
