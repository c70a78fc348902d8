"""Both epsilons where a hospital looks: `budget`, `--plan`, approval, `check` and `status`."""

import functools
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from client.budget.budget import read_budget
from client.budget.forecast_view import show_forecast
from client.budget.forecasts import forecast
from client.budget.outlook import look_ahead, rounds_within
from client.budget.plan import plan_round
from client.budget.study_view import headline, site_facts
from client.check.cost import reckon
from client.ledger.ledger import Ledger
from client.node.status import look
from client.node.status_view import show as show_status
from irene_model.privacy.accountants import epsilons
from tests.helpers.any_floats import said_by
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.secure_study import secure_study
from tests.helpers.sites.typed_commands import typed

DELTA = 1e-5
STUDY = secure_study(
    {"patients": 200}, {"rounds": 6}, privacy={"noise_multiplier": 1.2, "delta": DELTA}
)  # fmt: skip
PLAN = plan_round(STUDY, 10, 1)
WIDER = plan_round(STUDY, 10, 1, sites=8)


@pytest.fixture
def secure_hospital(hospital: HospitalFolder) -> HospitalFolder:
    """One that declares its patients and has a budget for both."""
    hospital.study_file.write_text(yaml.safe_dump(STUDY.model_dump(mode="json")))
    hospital.configure("budget", {"epsilon": 6, "delta": DELTA, "alone": 30})
    hospital.configure("declared_patients", 10)
    hospital.configure("metrics", "off")
    return hospital


@pytest.fixture
def charged(secure_hospital: HospitalFolder) -> HospitalFolder:
    """Two rounds, one of them in three attempts, with five sites or eight."""
    ledger = Ledger.of(secure_hospital.site)
    for round, attempt, plan in ((1, 1, PLAN), (1, 2, WIDER), (1, 4, PLAN), (2, 1, WIDER)):
        ledger.reserve(
            run="r", round=round, attempt=attempt, partners="a,b,c", mechanism=plan.mechanism,
            alone=plan.alone, clip_norm=1.0,
        )  # fmt: skip
    return secure_hospital


def shown(text: str) -> str:
    return " ".join(text.split())


def test_a_run_is_told_with_its_attempts_and_both_epsilons(charged: HospitalFolder) -> None:
    report = read_budget(charged.site)
    joints = [PLAN.mechanism, WIDER.mechanism, PLAN.mechanism, WIDER.mechanism]
    assert report.spent == epsilons(joints, delta=DELTA)
    assert report.spent_alone == epsilons([PLAN.alone] * 4, delta=DELTA)
    (run,) = report.runs
    assert (run.rounds, run.attempts, run.steps, run.noise_multiplier) == (2, 4, 4, None)
    assert run.epsilon_alone == report.spent_alone and run.epsilon == report.spent
    assert report.left_alone == 30 - report.spent_alone.smallest
    document: dict[str, Any] = json.loads(typed("budget", charged.site_file, "--json"))
    assert document["budget_alone"] == 30 and document["left_alone"] == report.left_alone
    assert document["spent_alone"]["smallest"] == report.spent_alone.smallest
    assert document["runs"][0]["epsilon_alone"]["smallest"] == report.spent_alone.smallest
    text = shown(typed("budget", charged.site_file))
    alone = f"{report.spent_alone.smallest:.2f}"
    assert f"Alone, if everybody else colludes: epsilon {alone} of 30 spent" in text
    assert "epsilon alone" in text and f" {report.spent.smallest:.2f} {alone}" in text


def test_a_site_that_knows_no_secure_sums_is_told_of_none(hospital: HospitalFolder) -> None:
    Ledger.of(hospital.site).reserve(run="r", round=1, mechanism=PLAN.mechanism, clip_norm=1.0)
    report = read_budget(hospital.site)
    assert report.spent_alone is report.left_alone is report.runs[0].epsilon_alone is None
    assert "collude" not in typed("budget", hospital.site_file)


def test_a_study_costs_what_the_ledger_would_charge_in_both(charged: HospitalFolder) -> None:
    ahead = look_ahead(charged.site, STUDY, 10)
    other = ahead.if_all_collude
    assert other is not None and other.mechanism == PLAN.alone
    joints = [PLAN.mechanism, WIDER.mechanism, PLAN.mechanism, WIDER.mechanism]
    assert ahead.after_next_round == epsilons([*joints, PLAN.mechanism], delta=DELTA)
    assert other.after_next_round == epsilons([PLAN.alone] * 5, delta=DELTA)
    whole = [replace(each, steps=6) for each in (PLAN.mechanism, PLAN.alone)]
    assert ahead.alone == {"train": epsilons(whole[:1], delta=DELTA)}
    assert other.alone == {"train": epsilons(whole[1:], delta=DELTA)}
    assert other.after_all == epsilons([PLAN.alone] * 4 + whole[1:], delta=DELTA).smallest


def test_the_rounds_that_fit_are_those_that_fit_both(charged: HospitalFolder) -> None:
    assert look_ahead(charged.site, STUDY, 10).rounds_left == 6
    three = epsilons([PLAN.alone] * (4 + 3), delta=DELTA).smallest
    charged.configure("budget", {"epsilon": 6, "delta": DELTA, "alone": three})
    ahead = look_ahead(charged.site, STUDY, 10)
    assert ahead.rounds_left == 3
    facts = site_facts(STUDY, charged.site, ahead)
    assert "3 of 6 rounds fit" in facts["budget, if all others collude"]
    assert facts["budget afterwards, if all others collude"].startswith("NOT ALL OF IT FITS")
    assert not facts["budget afterwards"].startswith("NOT")
    ledger = Ledger.of(charged.site)
    for number in range(3, 7):
        ask = {"run": "r", "round": number, "attempt": 1, "partners": "a,b,c", "clip_norm": 1.0}
        if number == 6:
            with pytest.raises(Exception, match=r"budget\.alone"):
                ledger.reserve(**ask, mechanism=PLAN.mechanism, alone=PLAN.alone)  # type: ignore[arg-type]
        else:
            ledger.reserve(**ask, mechanism=PLAN.mechanism, alone=PLAN.alone)  # type: ignore[arg-type]


def test_approval_says_what_relies_on_whom(secure_hospital: HospitalFolder) -> None:
    facts = site_facts(STUDY, secure_hospital.site, look_ahead(secure_hospital.site, STUDY, 10))
    own = f"{PLAN.share:.4g} of it is this site's own"
    assert facts["noise multiplier"].startswith("1.2 of as few sites") and own in str(facts)
    assert facts["a patient's chance"].startswith("0.2 ")
    assert "a whole run by itself, training, if all others collude" in facts
    assert "masked" in facts["leaves, each round"]
    told = headline(STUDY)
    assert "40 patients on average of all sites together" in told["a step"]
    assert "at least 5 sites" in told["secure sums"] and "any 2 of" in told["secure sums"]


def test_a_budget_that_says_nothing_of_it_is_told_what_to_add(
    secure_hospital: HospitalFolder,
) -> None:
    secure_hospital.configure("budget", {"epsilon": 6, "delta": DELTA})
    study = ("--study", secure_hospital.study_file)
    text = shown(typed("budget", secure_hospital.site_file, *study))
    assert "None is accepted" in text and "add `alone` to `budget` in site.yaml" in text
    assert "0 of a run's 6 rounds fit" in text
    _, doubts = reckon(secure_hospital.site, STUDY, 10)
    assert any("`alone`" in doubt.sentence and doubt.grave for doubt in doubts)


def test_a_plan_of_secure_sums_tells_both(charged: HospitalFolder) -> None:
    charged.configure("budget", {"epsilon": 6, "delta": DELTA, "alone": 12})
    ahead = forecast(charged.site, STUDY, 10, rounds=2)
    before = [PLAN.mechanism, WIDER.mechanism, PLAN.mechanism, WIDER.mechanism]
    for choice in (*ahead.choices, ahead.fitting):
        joint = replace(choice.mechanism, steps=choice.rounds)
        own = replace(joint, noise_multiplier=joint.noise_multiplier / 3**0.5)
        assert choice.epsilon == epsilons([*before, joint], delta=DELTA)
        assert choice.epsilon_alone is not None
        assert choice.epsilon_alone.smallest == pytest.approx(
            epsilons([*[PLAN.alone] * 4, own], delta=DELTA).smallest
        )
    alone = ahead.fitting.epsilon_alone
    assert alone is not None and alone.smallest <= 12 and ahead.budget_alone == 12
    many = rounds_within(6, before, PLAN.mechanism, delta=DELTA, most=100)
    assert 0 < ahead.fitting.rounds < many
    one_more = [PLAN.alone] * (4 + ahead.fitting.rounds + 1)
    assert epsilons(one_more, delta=DELTA).smallest > 12
    json.dumps(ahead.as_json(), allow_nan=False)
    text = shown(said_by(functools.partial(show_forecast, ahead)))
    assert "at most 12 by your budget (budget.alone)" in text and "epsilon alone" in text
    without = replace(ahead, budget_alone=None)
    text = shown(said_by(functools.partial(show_forecast, without)))
    assert "your budget names none for it (budget.alone)" in text


def test_status_tells_both_and_when_one_is_spent(charged: HospitalFolder) -> None:
    def status() -> tuple[str, tuple[str, ...]]:
        console = Console(file=StringIO(), width=200)
        seen = look(charged.site)
        show_status(seen, console)
        return shown(console.file.getvalue()), seen.todo  # type: ignore[attr-defined]

    text, todo = status()
    assert "Alone, if everybody else colludes: epsilon" in text and "of 30 spent" in text
    assert not todo
    spent = read_budget(charged.site).spent_alone
    assert spent is not None
    least = max(spent.smallest, 0.5)
    charged.configure("budget", {"epsilon": least, "delta": DELTA, "alone": least})
    _, todo = status()
    assert any("budget.alone" in each for each in todo)


def test_a_site_without_a_budget_is_told_the_second_epsilon_all_the_same(
    charged: HospitalFolder, tmp_path: Path
) -> None:
    charged.configure("budget", "none")
    text = shown(typed("budget", charged.site_file))
    assert "has no budget" in text and "if everybody else colludes: epsilon" in text
