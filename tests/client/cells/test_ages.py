"""Ages as DICOM and de-identified tables write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.ages import is_capped, read_age
from client.cells.cell_error import CellError
from client.site.columns import AgeUnit


@pytest.mark.parametrize(
    ("cell", "years"), [("065Y", 65), ("018M", 1.5), ("052W", 0.9966), ("003D", 0.0082)]
)
def test_an_age_string_of_dicom_says_its_own_unit(cell: str, years: float) -> None:
    for unit in ("years", "months", "days"):
        assert read_age(cell, unit) == pytest.approx(years, abs=1e-4)


@pytest.mark.parametrize("cell", ["065F", "65M", "18M", "0065Y", "65Y", "065 Y", "065y"])
def test_what_may_be_a_sex_or_a_slip_is_no_age_string(cell: str) -> None:
    with pytest.raises(CellError):
        read_age(cell)


@pytest.mark.parametrize(
    ("cell", "years"),
    [(">89", 90), ("> 89", 90), (">=90", 90), ("≥ 90", 90), ("90+", 90), ("89 +", 89), (">85", 86)],
)
def test_the_oldest_are_read_as_the_youngest_of_them(cell: str, years: float) -> None:
    assert read_age(cell) == years and is_capped(cell)


@pytest.mark.parametrize("cell", ["18+", ">60", "<1", "<90", "≤ 90", ">200", ">120", "65"])
def test_a_group_is_no_age(cell: str) -> None:
    assert not is_capped(cell)
    if cell != "65":
        with pytest.raises(CellError, match="is a bound"):
            read_age(cell)


def test_a_bound_in_months_is_not_read_as_years() -> None:
    with pytest.raises(CellError, match="is a bound, expected the age in months"):
        read_age(">89", "months")


@given(st.text(alphabet="0123456789<>≤≥=+.YMWD ", max_size=6), st.sampled_from(["years", "months"]))
def test_any_text_is_an_age_or_a_complaint(cell: str, unit: AgeUnit) -> None:
    try:
        years = read_age(cell, unit)
    except CellError:
        return
    assert (years is None) == (cell == "")
    assert years is None or 0 <= years <= 120
