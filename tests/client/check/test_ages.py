"""Ages: what no cohort has is doubted, what hospitals have is not, and all of it is shown."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from client.check.ages import count_ages, doubt_ages
from client.check.quality import inspect
from client.pages.check_view import show_check
from irene_model.study.records import Record
from tests.helpers.hospital_folder import HospitalFolder


def aged(ages: Sequence[float]) -> list[Record]:
    return [
        Record(
            patient_id=f"P{n}", record_id=f"R{n}", split="train", labs={}, labels={}, age_years=age
        )
        for n, age in enumerate(ages)
    ]


@pytest.mark.parametrize(
    ("ages", "said"),
    [
        (range(0, 120, 2), "12 of 60 ages are above 95 years"),  # months of small children
        ([12.0, 24, 36, 48, 60, 72, 84, 12, 24, 36], "all 10 ages are multiples of 12"),
        ([n / 30 for n in range(20)], "all 20 ages are below 12 years"),  # scaled to one
        ([1 + n % 9 for n in range(40)], "all 40 ages are below 12 years"),  # decades
        ([99.0] * 12, "all 12 ages are the same"),
        ([0.0] * 4 + [30.0 + n for n in range(16)], "4 patients' records have one age"),
    ],
)
def test_what_no_cohort_has_is_doubted(ages: Sequence[float], said: str) -> None:
    (doubt,) = doubt_ages(aged(ages))
    assert said in doubt


@pytest.mark.parametrize(
    "ages",
    [
        [18 + 1.2 * n for n in range(70)],
        [60 + n / 2 for n in range(80)],  # a ward for the old
        [96.0, 97, 98, *range(40, 80)],  # three of 43
        [n / 4 for n in range(72)],  # a children's hospital, whole
        [12.0, 24, 36],
        [],
    ],
)
def test_what_hospitals_have_is_not(ages: Sequence[float]) -> None:
    assert doubt_ages(aged(ages)) == []


def test_steps_hold_every_age() -> None:
    counts = count_ages(aged([0, 1.9, 2, 17.9, 18, 44, 79, 94.5, 95, 120]))
    assert counts == {
        **{"0-1": 2, "2-17": 2, "18-44": 2, "45-64": 0, "65-79": 1, "80-94": 1, "95+": 2}
    }


def test_the_report_shows_them(hospital: HospitalFolder, tmp_path: Path) -> None:
    report = inspect(hospital.site, hospital.study)
    with (tmp_path / "shown").open("w", encoding="utf-8") as file:
        show_check(report, Console(file=file, width=120))
    shown = (tmp_path / "shown").read_text(encoding="utf-8")
    assert "Ages in years: 18 of 18-44" in shown
    assert report.as_json()["ages"]["18-44"] == 18
