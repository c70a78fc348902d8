"""A handful of values in which two units could hide is said to be one, and no other is."""

import math

import pytest

from client.check.unit_doubts import doubt_too_few

ALTERNATING = [round((2 + i) / 10, 2) if i % 2 else 2.0 + i for i in range(12)]  # mg/dL and mg/L


def test_two_units_in_a_few_values_are_not_passed_over() -> None:
    (said,) = doubt_too_few({"CRP": ALTERNATING, "LDH": [180.0, 210.0, 260.0]})
    assert said.startswith("CRP: few values") and "LDH" not in said


@pytest.mark.parametrize(
    "values",
    [[], [5.0], [4.0, 60.0], [-math.inf, 0.0, 3.0, math.inf], ALTERNATING * 3],
    ids=["none", "one", "a wide one", "beyond what is measured", "enough to judge"],
)
def test_what_says_nothing_raises_no_doubt(values: list[float]) -> None:
    assert doubt_too_few({"CRP": values}) == []
