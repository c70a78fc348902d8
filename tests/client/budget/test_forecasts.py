"""irene-client budget --plan: noise for so many rounds, and rounds for so much noise."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from client.budget.forecast_plot import draw
from client.budget.forecasts import Forecast, forecast
from client.budget.plan import plan_round
from client.cli import app
from client.ledger.ledger import Ledger
from irene_model.errors import BudgetExceeded, ConfigError
from irene_model.privacy.accountants import Mechanism, epsilons
from tests.helpers.hospital_folder import HospitalFolder, write_hospital

STEP = Mechanism(noise_multiplier=2.0, sample_rate=0.1, steps=20)
DECLARED = 40


@pytest.fixture(scope="module")
def spent_hospital(tmp_path_factory: pytest.TempPathFactory) -> HospitalFolder:
    """A hospital that has spent something of its 8 in another run."""
    hospital = write_hospital(tmp_path_factory.mktemp("planning") / "north")
    hospital.configure("declared_patients", DECLARED)
    hospital.configure("federation.rounds", 3, "study.yaml")
    ledger = Ledger.of(hospital.site)
    for number in (1, 2):
        ledger.reserve(run="earlier", round=number, mechanism=STEP, clip_norm=1.0)
    return hospital


@pytest.fixture(scope="module")
def planned(spent_hospital: HospitalFolder) -> Forecast:
    return forecast(spent_hospital.site, spent_hospital.study, DECLARED, noise_multiplier=0.6)


def test_each_choice_spends_the_target_and_no_more(planned: Forecast) -> None:
    assert planned.target == planned.budget == 8 and planned.rounds == 3
    assert planned.spent == epsilons([STEP] * 2, delta=1e-3)
    assert [choice.rounds for choice in planned.choices] == [1, 2, 3, 6, 12]
    noises = [choice.mechanism.noise_multiplier for choice in planned.choices]
    assert noises == sorted(noises) and len(set(noises)) == len(noises)
    for choice in planned.choices:
        after = [STEP, STEP, *[choice.mechanism] * choice.rounds]
        assert choice.epsilon == epsilons(after, delta=1e-3)
        assert 0.99 * 8 <= choice.epsilon.smallest <= 8


def test_a_choice_is_what_the_ledger_takes(planned: Forecast, tmp_path: Path) -> None:
    hospital = write_hospital(tmp_path / "north")
    ledger = Ledger.of(hospital.site)
    for number in (1, 2):
        ledger.reserve(run="earlier", round=number, mechanism=STEP, clip_norm=1.0)
    fitting = planned.fitting
    assert fitting.mechanism.noise_multiplier == 0.6 and fitting.rounds > 1
    for number in range(1, fitting.rounds + 1):
        ledger.reserve(run="r", round=number, mechanism=fitting.mechanism, clip_norm=1.0)
    with pytest.raises(BudgetExceeded):
        ledger.reserve(run="r", round=1000, mechanism=fitting.mechanism, clip_norm=1.0)
    assert fitting.epsilon.smallest <= 8


def test_the_curve_starts_at_what_is_spent_and_crosses_the_target(planned: Forecast) -> None:
    curve = planned.curve
    assert curve[0].rounds == 0 and curve[0].epsilon == planned.spent
    assert curve[-1].rounds > planned.fitting.rounds and curve[-1].epsilon.smallest > 8
    heights = [choice.epsilon.smallest for choice in curve]
    assert heights == sorted(heights)
    assert planned.fitting.rounds in [choice.rounds for choice in curve]


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_picture_is_written(planned: Forecast, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"plan.{suffix}"
    draw(planned, path)
    if suffix == "png":
        with Image.open(path) as picture:
            assert picture.size == (1280, 768)
            assert len(picture.convert("RGB").getcolors(10**6) or ()) > 20
    else:
        start = {"svg": b"<?xml", "pdf": b"%PDF"}[suffix]
        assert path.read_bytes().startswith(start)
    with pytest.raises(ConfigError, match="can't be written"):
        draw(planned, tmp_path / "no folder" / path.name)


def run(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(app, ["budget", *map(str, arguments)])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output if code == 0 else done.output + str(done.exception)


def test_the_command_plans_and_draws(spent_hospital: HospitalFolder, tmp_path: Path) -> None:
    hospital, picture = spent_hospital, tmp_path / "plan.svg"
    plan = (hospital.site_file, "--study", hospital.study_file, "--plan", "--rounds", "2")
    document: dict[str, Any] = json.loads(run(*plan, "--json", "--plot", picture))
    asked = plan_round(hospital.study, DECLARED, 1).mechanism.noise_multiplier
    assert document["study_asks"] == document["fitting"]["mechanism"]["noise_multiplier"] == asked
    assert document["rounds"] == 2 and document["spent"]["smallest"] > 0
    assert document["choices"][1]["epsilon"]["smallest"] <= 8
    assert "of the study" not in json.dumps(document) and picture.stat().st_size > 5000
    shown = run(*plan, "--target", "7")
    assert "planned up to 7" in shown and "the planned rounds" in shown
    assert "most with the noise of" in shown


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--plan", "--target", "0.5"), "is spent already, and the target is 0.5"),
        (("--plan", "--noise", "0"), "give --noise, a multiplier above 0"),
        (("--plan", "--plot", "plan.gif"), "name a file that ends in .png, .svg, .pdf"),
        (("--rounds", "3"), "belong to --plan"),
    ],
)
def test_what_can_t_be_planned_is_said(
    spent_hospital: HospitalFolder, options: tuple[str, ...], said: str
) -> None:
    study = ("--study", spent_hospital.study_file)
    code = 2 if "--plot" in options or "--plan" not in options else 1
    found = run(spent_hospital.site_file, *study, *options, code=code)
    assert said in " ".join(found.replace("│", " ").split())


def test_a_site_without_a_budget_needs_a_target(hospital: HospitalFolder) -> None:
    hospital.configure("budget", "none")
    with pytest.raises(ConfigError, match="give --target"):
        forecast(hospital.site, hospital.study, DECLARED)
    assert "--plan wants --study" in run(hospital.site_file, "--plan", code=2)
    one = forecast(hospital.site, hospital.study, DECLARED, target=2.0, noise_multiplier=3.0)
    assert one.budget is None and one.fitting.epsilon.smallest <= 2
