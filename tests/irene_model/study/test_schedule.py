"""The course of the learning rate, at the sites or at the server."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irene_model.study.federation import server_rate, site_rate
from irene_model.study.study import Study
from tests.helpers.hospital_folder import STUDY


def study(**changes: dict[str, Any]) -> Study:
    """The tests' study with keys of its sections replaced."""
    document = {**STUDY, **{key: {**STUDY[key], **change} for key, change in changes.items()}}
    return Study.model_validate(document)


def test_the_learning_rate_warms_up_and_falls_to_its_fraction() -> None:
    asked = study(
        training={"learning_rate": 0.01, "warmup_rounds": 2, "final_rate_fraction": 0.2},
        federation={"rounds": 9},
    )
    rates = [site_rate(asked, number) for number in range(1, 10)]
    assert rates[0] == pytest.approx(0.01 / 3)  # the cosine starts at 1
    assert rates[4] == pytest.approx(0.01 * (0.2 + 0.8 / 2))  # halfway
    assert rates[8] == pytest.approx(0.002)
    assert rates[0] < rates[1] < rates[2] and rates[2:] == sorted(rates[2:], reverse=True)


@given(st.integers(1, 50), st.integers(0, 10), st.floats(0, 1))
def test_the_learning_rate_stays_within_its_bounds(rounds: int, warm: int, final: float) -> None:
    asked = study(
        training={"learning_rate": 0.5, "warmup_rounds": warm, "final_rate_fraction": final},
        federation={"rounds": rounds},
    )
    for number in range(1, rounds + 1):
        assert 0 <= site_rate(asked, number) <= 0.5 * (1 + 1e-12)


def test_one_round_trains_at_all() -> None:
    one = study(training={"learning_rate": 0.5, "warmup_rounds": 0}, federation={"rounds": 1})
    assert site_rate(one, 1) == 0.5


def test_the_rate_follows_its_course_at_one_end_only() -> None:
    rates = {"learning_rate": 0.5, "warmup_rounds": 1}
    rounds = {"rounds": 4, "server_learning_rate": 0.25}
    plain = study(training=rates, federation=rounds)
    adaptive = study(training=rates, federation={**rounds, "strategy": "fedadam"})
    for number in (1, 2, 4):
        assert server_rate(plain, number) == 0.25 and site_rate(adaptive, number) == 0.5
        factor = site_rate(plain, number) / 0.5
        assert server_rate(adaptive, number) == pytest.approx(0.25 * factor)
    assert site_rate(plain, 1) == 0.25 and site_rate(plain, 4) == pytest.approx(0.05)
