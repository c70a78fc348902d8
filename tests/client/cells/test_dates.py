"""Dates: those that mean one day, whoever wrote them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.ages import years_between
from client.cells.cell_error import CellError
from client.cells.dates import read_moment

MOMENT = datetime(2024, 2, 3, 14, 5)


@pytest.mark.parametrize(
    ("cell", "moment"),
    [
        ("2024-02-03", datetime(2024, 2, 3)),
        ("2024/2/3", datetime(2024, 2, 3)),
        ("20240203", datetime(2024, 2, 3)),
        ("03.02.2024", datetime(2024, 2, 3)),
        ("3.2.2024 14:05", MOMENT),
        ("2024-02-03T14:05:00", MOMENT),
        ("2024-02-03 14:05:00.000", MOMENT),
        ("2024-02-03T15:05:00+01:00", MOMENT),
        ("2024-02-03 14:05Z", MOMENT),
        ("2024-02-03 09:05:00-0500", MOMENT),
        ("20240203140500", MOMENT),
        ("20240203140500.123+0000", MOMENT),
        ("", None),
    ],
)
def test_what_means_one_day(cell: str, moment: datetime | None) -> None:
    assert read_moment(cell) == moment


@pytest.mark.parametrize("cell", ["03/02/2024", "3-2-2024", "25/12/2024 10:00"])
def test_which_number_is_the_month_is_said_and_never_guessed(cell: str) -> None:
    with pytest.raises(CellError, match=r"`dates: dmy` or `dates: mdy`"):
        read_moment(cell)
    assert read_moment("03/02/2024", "dmy") == datetime(2024, 2, 3)
    assert read_moment("03/02/2024", "mdy") == datetime(2024, 3, 2)
    with pytest.raises(CellError, match="no calendar has"):
        read_moment("25/12/2024", "mdy")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("03.02.24", "two digits"),
        ("45000", "is a number, expected a date"),
        ("2024-02-30", "no calendar has"),
        ("2024-02-03 25:00", "no calendar has"),
        ("0000-00-00", "no calendar has"),
        ("yesterday", "is text, expected a date"),
        ("0001-01-01T00:00:00+14:00", "no calendar has"),
    ],
)
def test_what_does_not_is_refused(cell: str, said: str) -> None:
    with pytest.raises(CellError, match=said) as caught:
        read_moment(cell)
    assert cell not in str(caught.value)


@given(st.text(), st.sampled_from([None, "dmy", "mdy"]))
def test_any_text_is_a_moment_or_a_complaint(cell: str, order: None) -> None:
    try:
        moment = read_moment(cell, order)
    except CellError:
        return
    assert (moment is None) == (cell == "")


@given(
    st.datetimes(max_value=datetime(2100, 1, 1)),
    st.sampled_from(["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d", "%d.%m.%Y", "%d/%m/%Y"]),
)
def test_every_day_reads_back(moment: datetime, form: str) -> None:
    day = datetime(moment.year, moment.month, moment.day)
    written = day.strftime(form).replace(str(day.year), f"{day.year:04d}", 1)
    if day.year >= 1000:
        assert read_moment(written, "dmy") == day


def test_an_age_is_never_negative_nor_beyond_what_people_reach() -> None:
    born = datetime(1950, 6, 1)
    assert years_between(born, datetime(2020, 6, 1)) == pytest.approx(70, abs=0.01)
    assert years_between(born, datetime(1950, 6, 1, 23)) == 0
    assert years_between(datetime(1950, 6, 1, 23), datetime(1950, 6, 1, 1)) == 0
    assert years_between(born, datetime(1950, 5, 31)) is None
    assert years_between(datetime(1900, 1, 1), datetime(2024, 1, 1)) is None


@given(st.datetimes(), st.datetimes())
def test_any_two_dates(born: datetime, at: datetime) -> None:
    years = years_between(born, at)
    assert years is None or 0 <= years <= 120
