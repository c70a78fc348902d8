"""irene-client budget: what is spent, what is left, what a study would cost."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.budget.budget import read_budget
from client.budget.outlook import look_ahead, rounds_within
from client.cli import app
from client.ledger.ledger import Ledger
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.study.records import HeldOut
from tests.helpers.hospital_folder import HospitalFolder

STEP = Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=20)


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["budget", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def charge(hospital: HospitalFolder, run: str, rounds: int, mechanism: Mechanism = STEP) -> None:
    ledger = Ledger.of(hospital.site)
    for number in range(1, rounds + 1):
        ledger.reserve(run=run, round=number, mechanism=mechanism, clip_norm=1.0)


def test_without_a_ledger_nothing_is_spent_and_nothing_is_created(hospital: HospitalFolder) -> None:
    before = sorted(hospital.folder.rglob("*"))
    report: dict[str, Any] = json.loads(run(hospital.site_file, "--json"))
    assert report["spent"] == {"rdp": 0, "prv": 0, "smallest": 0}
    assert report["budget"] == report["left"] == 8 and report["runs"] == []
    assert "No round has been charged yet" in run(hospital.site_file)
    assert sorted(hospital.folder.rglob("*")) == before


def test_the_runs_and_their_composition_are_shown(hospital: HospitalFolder) -> None:
    charge(hospital, "first", 3)
    charge(hospital, "second", 2)
    report = read_budget(hospital.site)
    assert report.spent == epsilons([STEP] * 5, delta=1e-3)
    assert [(r.run, r.rounds, r.steps) for r in report.runs] == [
        ("first", 3, 60),
        ("second", 2, 40),
    ]
    assert report.runs[1].epsilon == epsilons([STEP] * 2, delta=1e-3)
    assert report.left == pytest.approx(8 - report.spent.smallest)
    shown = run(hospital.site_file)
    assert f"epsilon {report.spent.smallest:.2f} of 8 spent" in shown and "second" in shown


def test_held_out_patients_are_counted_apart(hospital: HospitalFolder) -> None:
    evaluation = Mechanism(noise_multiplier=1.0, sample_rate=1.0, steps=1)
    ledger = Ledger.of(hospital.site)
    ledger.reserve(run="r", round=1, assignment="a", mechanism=STEP, clip_norm=1.0)
    held_out: tuple[HeldOut, ...] = ("validation", "test")
    for split in held_out:
        ledger.reserve(
            run="r", round=1, split=split, assignment="a", mechanism=evaluation, clip_norm=1.0
        )
    report = read_budget(hospital.site)
    assert report.spent == epsilons([evaluation], delta=1e-3)
    (cost,) = report.runs
    assert (cost.rounds, cost.evaluations, cost.steps) == (1, 2, STEP.steps)
    ahead = look_ahead(hospital.site, hospital.study, 40)
    assert ahead.after_next_round == epsilons([STEP, ahead.mechanism], delta=1e-3)
    assert "evaluations" in run(hospital.site_file)


def test_a_study_costs_what_the_ledger_would_charge(hospital: HospitalFolder) -> None:
    charge(hospital, "first", 3)
    declared = 40
    ahead = look_ahead(hospital.site, hospital.study, declared)
    assert ahead.after_next_round == epsilons([*[STEP] * 3, ahead.mechanism], delta=1e-3)
    text = run(hospital.site_file, "--study", hospital.study_file)
    assert "of a run's 2 rounds fit" in text


def test_the_last_round_that_fits_is_the_last_the_ledger_takes(hospital: HospitalFolder) -> None:
    costly = Mechanism(noise_multiplier=0.9, sample_rate=0.2, steps=10)
    fitting = rounds_within(8, [], costly, delta=1e-3, most=20)
    assert 0 < fitting < 20
    charge(hospital, "r", fitting, costly)
    assert rounds_within(8, [costly] * fitting, costly, delta=1e-3, most=20) == 0


def test_no_budget_is_said_and_infinity_is_null(hospital: HospitalFolder) -> None:
    hospital.configure("budget", "none")
    charge(hospital, "bare", 1, Mechanism(noise_multiplier=0.0, sample_rate=0.1, steps=1))
    assert read_budget(hospital.site).spent.smallest == math.inf
    assert "has no budget" in run(hospital.site_file)
    report = json.loads(run(hospital.site_file, "--json"))
    assert report["budget"] is report["left"] is report["spent"]["smallest"] is None
