"""What a hospital is shown of its budget takes whatever a float may hold."""

import functools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.budget.budget import BudgetReport, RunCost
from client.budget.budget_view import show as show_budget
from client.budget.forecast_plot import draw
from client.budget.forecast_view import show_forecast
from client.budget.forecasts import Choice, Forecast
from client.budget.outlook import Ahead, Outlook
from irene_model.privacy.accountants import Epsilons, Mechanism
from tests.helpers.any_floats import said_by

EPSILONS = st.builds(
    Epsilons,
    rdp=st.one_of(st.floats(min_value=0), st.sampled_from([float("inf"), 1e300, 5e-324])),
    prv=st.one_of(st.none(), st.floats(min_value=0)),
)
POSITIVE = st.one_of(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.sampled_from([8.0, 5e-324, 1.7e308, 1e-300]),
)
MECHANISM = Mechanism(noise_multiplier=1.0, sample_rate=0.1, steps=4)
CHOICES = st.builds(
    Choice, rounds=st.integers(0, 10**6), mechanism=st.just(MECHANISM), epsilon=EPSILONS
)


@settings(max_examples=20, deadline=None)
@given(spent=EPSILONS, budget=st.one_of(st.none(), POSITIVE), cost=EPSILONS)
def test_the_budget_of_any_numbers(spent: Epsilons, budget: float | None, cost: Epsilons) -> None:
    run = RunCost(
        run="r", rounds=1, evaluations=0, steps=4, noise_multiplier=None, sample_rate=0.1,
        epsilon=cost,
    )  # fmt: skip
    ahead: dict[str, Any] = {
        "mechanism": MECHANISM, "rounds_left": 1, "after_next_round": cost,
        "alone": {"train": cost}, "after_run": {"train": spent, "test": cost},
    }  # fmt: skip
    outlook = Outlook(study="s", declared_patients=10, rounds=3, **ahead)
    report = BudgetReport(
        site="north", budget=budget, delta=1e-5, spent=spent, runs=(run,), outlook=outlook
    )
    secure = replace(
        report, runs=(replace(run, attempts=2, epsilon_alone=cost),), spent_alone=spent,
        budget_alone=budget, outlook=replace(outlook, if_all_collude=Ahead(**ahead)),
    )  # fmt: skip
    for each in (report, secure):
        said = said_by(functools.partial(show_budget, each))
        assert "nan" not in said and not re.search(r"\d{60}", said)
        json.dumps(each.as_json(), allow_nan=False)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    curve=st.lists(CHOICES, min_size=1, max_size=6),
    fitting=CHOICES,
    spent=EPSILONS,
    target=POSITIVE,
    budget=st.one_of(st.none(), POSITIVE),
)
def test_the_forecast_of_any_numbers(  # noqa: PLR0917
    tmp_path: Path, curve: Any, fitting: Choice, spent: Epsilons, target: float, budget: Any
) -> None:
    curve = sorted(curve, key=lambda choice: choice.rounds)
    last = max(curve[-1].rounds, fitting.rounds) + 1  # as `forecast` draws it
    curve.append(Choice(rounds=last, mechanism=MECHANISM, epsilon=spent))
    plan = Forecast(
        site="north", study="s", budget=budget, target=target, delta=1e-5, spent=spent,
        declared_patients=10, rounds=3, study_asks=1.0, choices=tuple(curve), fitting=fitting,
        curve=tuple(curve),
    )  # fmt: skip
    assert "nan" not in said_by(lambda console: show_forecast(plan, console))
    json.dumps(plan.as_json(), allow_nan=False)
    draw(plan, tmp_path / "plan.svg")
    drawn = (tmp_path / "plan.svg").read_text()
    ElementTree.fromstring(drawn)
    assert not re.search(r'\b(?:d|x|y)="[^"]*(?:nan|inf)', drawn)
