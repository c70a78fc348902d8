"""Long laboratory tables as laboratories export them: which value counts, what became of all."""

import csv
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.check.quality import inspect
from client.records.chosen import mean_of, the_ones
from client.site.table_files import LabTable, Take
from irene_model.errors import ConfigError
from irene_model.study.records import Record
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.read_tables import records_of, refusal

HEADER = ("record", "loinc", "value", "unit", "taken", "sign")
# R001's image is taken at noon of the 10th.
SERIES = [
    ("R001", "1988-5", "4", "mg/L", "2024-01-09 08:00", ""),
    ("R001", "1988-5", "6", "mg/L", "2024-01-10 11:00", ""),
    ("R001", "1988-5", "11", "mg/L", "2024-01-10 14:00", ""),
    ("R001", "1988-5", "2", "mg/dL", "2024-01-12 08:00", ""),
]


def long(
    hospital: HospitalFolder,
    rows: Sequence[Sequence[str]],
    *,
    parquet: bool = False,
    **asked: Any,
) -> None:
    records = hospital.rows()
    hospital.write_rows([{**row, "imaged": "10.01.2024 12:00"} for row in records])
    path = hospital.folder / ("labs.parquet" if parquet else "labs.csv")
    if parquet:
        columns = zip(HEADER, zip(*rows, strict=True), strict=True)
        table = pa.table({name: pa.array(cells) for name, cells in columns})
        times = table["taken"].cast(pa.timestamp("s"))
        pq.write_table(table.set_column(4, "taken", times), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([HEADER, *rows])
    hospital.configure("labs", None)
    table_of_it = {"path": path.name, "on": "record", "test": "loinc", "value": "value"}
    hospital.configure("lab_table", {**table_of_it, "unit": "unit", **asked})


def crp(hospital: HospitalFolder, row: int = 1) -> float | None:
    record: Record = records_of(hospital)[row]
    return record.labs.get("CRP")


def rejected(hospital: HospitalFolder) -> dict[str, int]:
    coverage = inspect(hospital.site, hospital.study).coverage
    (table,) = [each for each in coverage.tables if each.key == "lab_table"]
    assert table.rows == table.used + table.excluded + sum(table.rejected.values())
    return dict(table.rejected)


@pytest.mark.parametrize("parquet", [False, True])
@pytest.mark.parametrize(
    ("asked", "value", "left"),
    [
        ({"take": "first"}, 4, {"another value of the record is taken": 3}),
        ({"take": "last"}, 20, {"another value of the record is taken": 3}),
        ({"take": "nearest"}, 6, {"another value of the record is taken": 3}),
        ({"take": "mean"}, 41 / 4, {}),
        (
            {"take": "last", "window": {"before": 24, "after": 24}},
            11,
            {"outside the window": 2, "another value of the record is taken": 1},
        ),
        ({"take": "mean", "window": {"before": 24, "after": 24}}, 8.5, {"outside the window": 2}),
        (
            {"take": "first", "window": {"after": 72}},
            11,
            {"outside the window": 2, "another value of the record is taken": 1},
        ),
        ({"window": {"after": 3}}, 11, {"outside the window": 3}),
    ],
)
def test_which_value_counts(
    hospital: HospitalFolder,
    parquet: bool,
    asked: dict[str, Any],
    value: float,
    left: dict[str, int],
) -> None:
    long(hospital, SERIES, parquet=parquet, time="taken", at="imaged", **asked)
    assert crp(hospital) == pytest.approx(value)
    assert rejected(hospital) == left


def test_without_a_choice_a_second_value_is_still_refused(hospital: HospitalFolder) -> None:
    long(hospital, SERIES)
    said = refusal(hospital)
    assert said.startswith("labs.csv line 3, column 'record': a second value of CRP")
    assert "lab_table.take" in said and "(and 2 more like it" in said


def test_a_value_that_does_not_count_may_be_in_any_unit(hospital: HospitalFolder) -> None:
    long(hospital, [*SERIES, ("R001", "1988-5", "9", "furlongs", "2024-02-01", "")],
         take="first", time="taken")  # fmt: skip
    assert crp(hospital) == 4
    hospital.configure("lab_table.take", "last")
    assert "column 'unit': holds a unit of CRP" in refusal(hospital)


def test_values_without_a_time_are_left_out_and_counted(hospital: HospitalFolder) -> None:
    rows = [
        *SERIES,
        ("R001", "1988-5", "99", "mg/L", "", ""),
        ("R002", "1988-5", "7", "mg/L", "", ""),
    ]
    long(hospital, rows, take="last", time="taken")
    assert (crp(hospital), crp(hospital, 2)) == (20, None)
    assert rejected(hospital)["no time, or a record without one"] == 2
    hospital.set_cell(1, "imaged", "")
    hospital.configure("lab_table.at", "imaged")
    hospital.configure("lab_table.take", "nearest")
    assert crp(hospital) is None
    assert rejected(hospital) == {"no time, or a record without one": 6}


def test_several_codes_of_one_value_and_strangers(hospital: HospitalFolder) -> None:
    rows = [
        ("R001", "1988-5", "4", "mg/L", "", ""),
        ("R002", "30522-7", "5", "mg/L", "", ""),
        ("R003", "CRP-QN", "6", "mg/L", "", ""),
        ("R004", "LOCAL", "7", "mg/L", "", ""),
        ("R005", "2345-7", "8", "mg/L", "", ""),
        ("X001", "1988-5", "9", "mg/L", "", ""),
    ]
    long(hospital, rows, codes={"CRP": ["30522-7", "CRP-QN"]}, matched=0.2)
    assert [crp(hospital, row) for row in range(1, 6)] == [4, 5, 6, None, None]
    assert rejected(hospital) == {
        "a test that the study does not ask for": 2, "no record has its key": 1,
    }  # fmt: skip
    coverage = inspect(hospital.site, hospital.study).coverage
    assert (dict(coverage.codes), coverage.other_codes) == ({"2345-7": 1}, 1)
    assert coverage.cells == {"columns of labs.csv passed over": 2}  # taken and sign


def test_codes_that_could_be_two_tests_are_refused(hospital: HospitalFolder) -> None:
    long(hospital, SERIES, codes={"CRP": ["731-0"]}, take="first", time="taken")
    with pytest.raises(
        ConfigError, match=r"codes\.CRP: '731-0' is the study's LOINC .*lymphocytes"
    ):
        records_of(hospital)
    hospital.configure("lab_table.codes", {"CRP": ["x"], "lymphocytes": ["x"]})
    with pytest.raises(ConfigError, match="'x' is listed for CRP and for lymphocytes"):
        _ = hospital.site
    hospital.configure("lab_table.codes", {"ferritin": ["x"]})
    with pytest.raises(ConfigError, match=r"lab_table\.codes\.ferritin: the study .* no such name"):
        records_of(hospital)


@pytest.mark.parametrize(
    ("value", "sign", "read"),
    [
        ("5", "<", -math.inf),
        ("5", ">=", math.inf),
        ("5", "", 5),
        ("5", "=", 5),
        ("5", "NA", 5),
        ("<5", "<", -math.inf),
        ("", "<", None),
        ("NA", "<", None),
        ("negative", "<", -math.inf),
        ("positive", "", math.inf),
        ("trace", "", 2.5),
        ("n.d.", "", -math.inf),
    ],
)
def test_signs_in_a_column_and_results_in_words(
    hospital: HospitalFolder, value: str, sign: str, read: float | None
) -> None:
    long(hospital, [SERIES[0], ("R002", "1988-5", value, "mg/L", "", sign)], comparator="sign")
    words = {"Negative": "<", "positive": "> 1", "trace": "2.5", "n.d.": "<"}
    hospital.configure("words", words)
    assert crp(hospital, 2) == read


@pytest.mark.parametrize(
    ("value", "sign", "column", "said"),
    [
        ("5", "about", "sign", "is text, expected <, <=, >, >=, = or empty"),
        (">5", "<", "sign", "says the contrary"),
        ("weak", "", "value", "is text, expected a number"),
    ],
)
def test_what_is_no_sign_and_no_word_is_refused(
    hospital: HospitalFolder, value: str, sign: str, column: str, said: str
) -> None:
    long(hospital, [SERIES[0], ("R002", "1988-5", value, "mg/L", "", sign)], comparator="sign")
    message = refusal(hospital)
    assert message.startswith(f"labs.csv line 3, column '{column}': {said}")
    assert "weak" not in message


def test_words_count_in_columns_too(hospital: HospitalFolder) -> None:
    hospital.set_cell(1, "crp", "neg.")
    hospital.configure("words", {"neg.": "<"})
    assert crp(hospital) == -math.inf
    hospital.configure("missing", ["NEG."])
    with pytest.raises(ConfigError, match="is listed under `missing` too"):
        _ = hospital.site
    hospital.configure("missing", None)
    hospital.configure("words", {"neg.": "low"})
    with pytest.raises(ConfigError, match=r"words\.neg"):
        _ = hospital.site


def test_a_decimal_comma_in_a_long_table(hospital: HospitalFolder) -> None:
    rows = [
        ("R001", "1988-5", "1.004,5", "mg/L", "", ""),
        ("R002", "1988-5", "4,5", "mg/L", "", "<"),
    ]
    long(hospital, rows, comparator="sign", decimal=",", thousands=".")
    assert (crp(hospital), crp(hospital, 2)) == (1004.5, -math.inf)


def test_an_excluded_records_values_are_counted(hospital: HospitalFolder) -> None:
    long(hospital, SERIES, take="first", time="taken")
    hospital.configure("exclude", ["R001"])
    (table,) = [
        each
        for each in inspect(hospital.site, hospital.study).coverage.tables
        if each.key == "lab_table"
    ]
    assert (table.used, table.excluded, table.rejected) == (0, 4, {})


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"take": "first"}, "take: first needs time"),
        ({"take": "nearest", "time": "t"}, "take: nearest needs time, and at"),
        ({"window": {"before": 1}, "time": "t"}, "window needs time, and at"),
        ({"window": {}}, "give hours"),
        ({"take": "median"}, "'first'"),
    ],
)
def test_half_a_choice_is_refused(asked: dict[str, Any], said: str) -> None:
    whole = {"path": "l.csv", "on": "r", "test": "t", "value": "v", "unit": "u"}
    with pytest.raises(ValueError, match=said):
        LabTable.model_validate({**whole, **asked})


VALUES = st.lists(st.tuples(st.integers(0, 3), st.floats(-1e6, 1e6) | st.integers(-2, 2)))


@given(VALUES)
def test_the_ones_are_what_their_name_says(values: list[tuple[int, float]]) -> None:
    """Against one record after another, by hand."""
    records = np.array([record for record, _ in values], np.int32)
    hours = np.array([hour for _, hour in values], np.float64)
    rows = [*range(len(values))]
    orders: dict[Take, Callable[[int], tuple[float, ...]]] = {
        "first": lambda row: (hours[row], row),
        "last": lambda row: (-hours[row], row),
        "nearest": lambda row: (abs(hours[row]), hours[row], row),
    }
    for take, order in orders.items():
        of_records = ([row for row in rows if records[row] == each] for each in {*records})
        expected = sorted(min(those, key=order) for those in of_records)
        assert the_ones(records, hours, take).tolist() == expected


@given(st.lists(st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf])))
def test_a_mean_is_within_what_was_measured(values: list[float]) -> None:
    mean, finite = mean_of(values), [value for value in values if math.isfinite(value)]
    if finite:
        assert mean is not None and min(finite) - 1e-6 <= mean <= max(finite) + 1e-6
    else:
        low, high = values.count(-math.inf), values.count(math.inf)
        assert mean == (None if low == high else -math.inf if low > high else math.inf)


def test_a_time_that_is_none_is_refused(hospital: HospitalFolder) -> None:
    rows = [*SERIES, ("R002", "1988-5", "1", "mg/L", "soon", "")]
    long(hospital, rows, take="last", time="taken")
    assert "labs.csv line 6, column 'taken': is text, expected a date" in refusal(hospital)
