"""Numbers in the form that site.yaml states, and in no other."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.cell_error import CellError
from client.cells.written_numbers import NumberForm, read_lab
from client.site.table_files import Table

GERMAN = NumberForm(decimal=",", thousands=".")
SWISS = NumberForm(thousands="'")
FRENCH = NumberForm(decimal=",", thousands=" ")
ENGLISH = NumberForm(thousands=",")
COMMA = NumberForm(decimal=",")


@pytest.mark.parametrize(
    ("form", "cell", "value"),
    [
        (GERMAN, "1.234,5", 1234.5),
        (GERMAN, "1234,5", 1234.5),
        (GERMAN, "1.234", 1234.0),
        (GERMAN, "-0,5", -0.5),
        (GERMAN, ",5", 0.5),
        (GERMAN, "1,5e-3", 0.0015),
        (GERMAN, "<1,5", -math.inf),
        (GERMAN, ">= 1.234,5", math.inf),
        (GERMAN, "12.345.678,9", 12345678.9),
        (GERMAN, "inf", math.inf),
        (GERMAN, "12", 12.0),
        (COMMA, "1,234", 1.234),
        (SWISS, "1'234.5", 1234.5),
        (SWISS, "1’234", 1234.0),
        (FRENCH, "1 234,5", 1234.5),
        (FRENCH, "1\u202f234,5", 1234.5),
        (FRENCH, "1\u00a0234", 1234.0),
        (ENGLISH, "1,234.5", 1234.5),
        (NumberForm(), "1.234", 1.234),
        (NumberForm(decimal="."), "1.5", 1.5),
    ],
)
def test_a_stated_form(form: NumberForm, cell: str, value: float) -> None:
    assert read_lab(form.plain(cell)) == value


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        (COMMA, "1.234"),  # a thousand, or one and a bit? Nobody has said
        (COMMA, "1.5"),
        (COMMA, "1.234,5"),
        (GERMAN, "1.5"),
        (GERMAN, "1.2345"),
        (GERMAN, "12.34,5"),
        (GERMAN, "1,234.5"),
        (GERMAN, "1 234"),
        (ENGLISH, "1,5"),
        (ENGLISH, "1.234,5"),
        (SWISS, "1,5"),
        (NumberForm(decimal="."), "1,5"),
        (NumberForm(), "1,5"),
        (NumberForm(), "1 234"),
    ],
)
def test_another_form_is_refused_and_never_guessed(form: NumberForm, cell: str) -> None:
    with pytest.raises(CellError, match=r"decimal.*thousands") as caught:
        read_lab(form.plain(cell))
    assert cell not in str(caught.value)


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12),
    st.sampled_from([GERMAN, SWISS, FRENCH, ENGLISH, COMMA]),
    st.booleans(),
)
def test_every_number_reads_back_however_it_is_written(
    number: float, form: NumberForm, grouped: bool
) -> None:
    written = f"{number:,.6f}" if grouped and form.thousands else f"{number:.6f}"
    signs = {",": form.thousands or "", ".": form.decimal or "."}
    cell = "".join(signs.get(sign, sign) for sign in written)
    assert read_lab(form.plain(cell)) == float(written.replace(",", ""))


@given(st.text(), st.sampled_from([GERMAN, SWISS, FRENCH, ENGLISH, COMMA, NumberForm()]))
def test_any_text_is_a_value_or_a_complaint(cell: str, form: NumberForm) -> None:
    try:
        value = read_lab(form.plain(cell))
    except CellError:
        return
    assert value is None or not math.isnan(value)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from([GERMAN, COMMA, FRENCH]))
def test_no_number_with_a_point_is_another_number_in_silence(
    number: float, form: NumberForm
) -> None:
    """Whoever says comma and has points in a part of the cells is told, or has whole thousands."""
    cell = f"{number:.2f}"
    with pytest.raises(CellError):
        form.plain(cell)


def test_one_sign_is_not_both() -> None:
    for said in ({"decimal": ",", "thousands": ","}, {"thousands": "."}):
        with pytest.raises(ValueError, match="is the decimal sign too"):
            Table.model_validate({"path": "t.csv", **said})
