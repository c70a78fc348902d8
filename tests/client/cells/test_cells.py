"""Cells: one text to one value, or a complaint that gives nothing away."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.cells.ages import read_age
from client.cells.cell_error import CellError
from client.cells.labels import label_reader
from client.cells.listed_words import sex_reader
from client.cells.written_numbers import read_lab, read_number
from client.site.columns import LabelColumn, SexColumn
from client.site.missing import MissingWords

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("", None),
        ("40", 40.0),
        ("40.", 40.0),
        (".5", 0.5),
        ("-2.5", -2.5),
        ("+1e-3", 0.001),
        ("inf", math.inf),
        ("+Inf", math.inf),
        ("-inf", -math.inf),
        ("<5", -math.inf),
        ("< 0.3", -math.inf),
        ("<=5", -math.inf),
        ("≤5", -math.inf),
        (">500", math.inf),
        ("≥ 500", math.inf),
    ],
)
def test_lab_cells(cell: str, value: float | None) -> None:
    assert read_lab(cell) == value


@pytest.mark.parametrize(
    "cell",
    [
        "1,5",
        "1.234,5",
        "nan",
        "NA",
        "neg",
        "1_000",
        "٣",
        "1e999",
        "<",
        "<inf",
        "> x",
        "5 mg/L",
        "0x1",
    ],
)
def test_lab_cells_that_are_not_guessed(cell: str) -> None:
    with pytest.raises(CellError) as caught:
        read_lab(cell)
    assert cell not in str(caught.value).split("(")[0]


def test_a_decimal_comma_gets_its_own_remedy() -> None:
    with pytest.raises(CellError, match=r"a number with a comma.*write a decimal point"):
        read_lab("12,5")


@pytest.mark.parametrize("cell", ["5 H", "5*", "5.0 mg/L", "<5 mg/L", "065Y", "43 years", "12 %"])
def test_a_flag_or_a_unit_behind_a_number_gets_its_own_remedy(cell: str) -> None:
    with pytest.raises(CellError, match=r"a number with letters.*keep the number alone"):
        read_lab(cell)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (("1,200", "1.200,5"), "a number with a comma.*nothing between thousands"),
        (("1 200", "1\u00a0200", "12'345.5"), "a number with a gap.*nothing between thousands"),
        (("\u22125", "\u0661\u0662", "\uff15", "5\u00b2"), "in other signs.*plain digits"),
        (("1.5x10^1", "2,5 × 10^9"), "a power of ten.*write 1.5e3"),
        (("5-10", "5 – 10"), "a range.*give one number"),
        (("2024-01-02", "01.02.2024", "2024-01-02 00:00:00"), "is a date"),
    ],
)
def test_what_is_nearly_a_number_gets_a_remedy_that_keeps_its_value(
    cells: tuple[str, ...], said: str
) -> None:
    for cell in cells:
        with pytest.raises(CellError, match=said):
            read_lab(cell)


@pytest.mark.parametrize("cell", ["18M", "2 months", "5 Tage", "3W"])
def test_a_small_childs_age_is_not_told_to_lose_its_unit(cell: str) -> None:
    with pytest.raises(CellError, match="in months, weeks or days, expected years") as caught:
        read_age(cell)
    assert "keep the number alone" not in str(caught.value)


@pytest.mark.parametrize("cell", ["1:160", "neg", "<LOD", "x5"])
def test_what_is_no_number_is_text(cell: str) -> None:
    with pytest.raises(CellError, match="is text, expected a number"):
        read_lab(cell)


@given(FINITE)
def test_every_finite_number_reads_back_exactly(number: float) -> None:
    assert read_lab(repr(number)) == number


@given(FINITE, st.sampled_from(["<", ">", "<=", ">=", "≤", "≥"]), st.sampled_from(["", " "]))
def test_a_limit_is_censored_whatever_its_number(number: float, side: str, gap: str) -> None:
    expected = -math.inf if side in ("<", "<=", "≤") else math.inf
    assert read_lab(f"{side}{gap}{number!r}") == expected


@given(st.text())
def test_any_text_is_a_value_or_a_complaint_and_never_nan(cell: str) -> None:
    try:
        value = read_lab(cell)
    except CellError:
        return
    assert value is None or not math.isnan(value)
    assert (value is None) == (cell == "")


@given(st.text(alphabet="qxzäß9", min_size=6))
def test_a_complaint_never_quotes_the_cell(cell: str) -> None:
    label = label_reader("x", LabelColumn(column="c"), MissingWords(), [cell])
    for read in (read_lab, read_number, read_age, label):
        try:
            read(cell)
        except CellError as error:
            assert cell not in str(error)


@pytest.mark.parametrize("cell", ["-1", "121", "1e9"])
def test_ages_have_bounds(cell: str) -> None:
    with pytest.raises(CellError, match="outside 0 to 120"):
        read_age(cell)


def test_sex() -> None:
    read_sex = sex_reader(SexColumn(column="sex", female=("w",), male=("m",)), MissingWords())
    assert [read_sex(cell) for cell in ("w", "m", "", "NULL", "unbekannt")] == [
        *("female", "male"),
        *(None, None, None),
    ]
    with pytest.raises(CellError, match=r"columns\.sex\.female"):
        read_sex("f")
    listed = sex_reader(SexColumn(column="sex", female=("-",), male=("+",)), MissingWords())
    assert (listed("-"), listed("+"), listed(".")) == ("female", "male", None)


def test_a_cell_can_mean_only_one_thing() -> None:
    with pytest.raises(ValueError, match="'x' is listed both as female and as male"):
        SexColumn(column="sex", female=("f", "x"), male=("m", "x"))
