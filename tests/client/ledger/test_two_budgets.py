"""Two budgets: against the coordinator with few colluding sites, and if everybody else colludes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from client.ledger.ledger import Ledger
from client.site.limits import Limits
from client.site.site import Budget
from irene_model.errors import BudgetExceeded
from irene_model.privacy.accountants import Mechanism, epsilons

JOINT = Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=10)
OWN = replace(JOINT, noise_multiplier=1.0)
DELTA = 1e-5


def spent(mechanism: Mechanism, times: int, *more: Mechanism) -> float:
    return epsilons([mechanism] * times + list(more), delta=DELTA).smallest


def charge(ledger: Ledger, number: int, run: str = "r") -> None:
    ledger.reserve(
        run=run, round=1, attempt=number, partners="a,b,c", mechanism=JOINT, alone=OWN,
        clip_norm=1.0,
    )  # fmt: skip


def plain(ledger: Ledger, round: int, mechanism: Mechanism = JOINT) -> None:
    ledger.reserve(run="plain", round=round, mechanism=mechanism, clip_norm=1.0)


def taken(ledger: Ledger) -> int:
    """How many attempts fit."""
    for number in range(1, 100):
        try:
            charge(ledger, number)
        except BudgetExceeded:
            return number - 1
    raise AssertionError


@pytest.mark.parametrize("times", [1, 4])
def test_either_budget_declines_what_exceeds_it(tmp_path: Path, times: int) -> None:
    """To the last attempt that fits, by the smaller bound of the accountants."""
    first = Budget(epsilon=spent(JOINT, times), delta=DELTA, alone=100)
    assert taken(Ledger(tmp_path / "first.sqlite", first)) == times
    second = Budget(epsilon=spent(JOINT, times), delta=DELTA, alone=spent(OWN, times))
    assert taken(Ledger(tmp_path / "both.sqlite", second)) == times
    third = Budget(epsilon=spent(OWN, times), delta=DELTA, alone=spent(OWN, times))
    ledger = Ledger(tmp_path / "third.sqlite", third)
    assert taken(ledger) == times
    with pytest.raises(BudgetExceeded, match=r"if everybody else colludes to .* budget\.alone is"):
        charge(ledger, 99)
    assert ledger.epsilon(delta=DELTA) == spent(JOINT, times)
    assert ledger.epsilon_alone(delta=DELTA) == spent(OWN, times)


def test_a_run_without_secure_sums_counts_in_both(tmp_path: Path) -> None:
    ledger = Ledger(
        tmp_path / "l.sqlite",
        Budget(epsilon=spent(OWN, 3), delta=DELTA, alone=spent(OWN, 3)),
    )
    charge(ledger, 1)
    plain(ledger, 1)
    assert ledger.epsilon(delta=DELTA) == spent(JOINT, 2)
    assert ledger.epsilon_alone(delta=DELTA) == spent(OWN, 1, JOINT)
    charge(ledger, 2)
    with pytest.raises(BudgetExceeded, match="if everybody else colludes"):
        plain(ledger, 2, OWN)  # against the coordinator there would be room
    assert spent(JOINT, 3, OWN) < spent(OWN, 3) < spent(OWN, 3, JOINT)


def test_a_budget_that_says_nothing_of_it_takes_part_in_no_secure_sum(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite", Budget(epsilon=8, delta=DELTA))
    with pytest.raises(BudgetExceeded, match=r"`alone` to `budget` in site\.yaml"):
        charge(ledger, 1)
    assert not ledger.reservations()
    plain(ledger, 1)
    free = Ledger(tmp_path / "free.sqlite", None)
    charge(free, 1)  # `budget: none` accepts all


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (Limits(largest_epsilon=spent(JOINT, 3)), "limits.largest_epsilon is"),
        (Limits(largest_epsilon_alone=spent(OWN, 3)), "limits.largest_epsilon_alone is"),
    ],
)
@pytest.mark.parametrize("budget", [Budget(epsilon=50, delta=DELTA, alone=90), None])
def test_attempts_without_end_are_stopped_by_the_limit_of_a_run(
    tmp_path: Path, limits: Limits, named: str, budget: Budget | None
) -> None:
    """A coordinator could ask for one round for ever; the rounds of a study say nothing of that."""
    ledger = Ledger(tmp_path / "l.sqlite", budget, limits=limits)
    assert taken(ledger) == 3
    with pytest.raises(BudgetExceeded, match=f"the run's epsilon .*{named}"):
        charge(ledger, 9)
    charge(ledger, 1, run="another")


@pytest.mark.parametrize("alone", [7.9, 0, -1, float("nan"), float("inf")])
def test_a_budget_alone_that_means_nothing_is_refused(alone: Any) -> None:
    with pytest.raises(ValidationError, match="alone"):
        Budget(epsilon=8, delta=DELTA, alone=alone)
