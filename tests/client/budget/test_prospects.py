"""What a site can hope for, told where people decide: approval, plan and check."""

import math
from io import StringIO

from rich.console import Console

from client.budget.forecast_view import show_forecast
from client.budget.forecasts import forecast
from client.budget.outlook import look_ahead
from client.budget.plan import plan_round
from client.budget.prospects import hope
from client.budget.study_view import site_facts
from irene_model.study.study import Study
from irene_model.weights.model_footprint import footprint
from tests.helpers.hospital_folder import STUDY, HospitalFolder
from tests.helpers.secure_study import secure_study

LARGE = {"expected_batch": 20_000}


def study(**parts: object) -> Study:
    return Study.model_validate({**STUDY, **parts})


def test_a_small_site_is_warned_and_a_large_one_is_not() -> None:
    small = hope(study(), plan_round(study(), 40, 1).mechanism, 40)
    assert small is not None and small.startswith("with this site alone a model that starts from")
    large = study(training=LARGE)
    assert hope(large, plan_round(large, 100_000, 1).mechanism, 100_000) is None


def test_under_secure_sums_it_is_the_noise_of_all_over_the_batch_of_all() -> None:
    """By hand: five sites' noises of z/sqrt(3) add up to z sqrt(5/3), on sums over 40 patients."""
    asked = secure_study(privacy={"noise_multiplier": 3.0})
    small, large = (hope(asked, plan_round(asked, n, 1).mechanism, n) for n in (10, 10_000))
    assert small == large and small is not None and small.startswith("with sums of 5 sites a model")
    ratio = math.sqrt(30 / footprint(asked).trained) / (3.0 * math.sqrt(5 / 3) / 40)
    assert f"at most {ratio:.2g} times" in small


def test_without_noise_or_patients_nothing_is_said() -> None:
    plain = study(privacy={"noise_multiplier": 0})
    assert hope(plain, plan_round(plain, 40, 1).mechanism, 40) is None
    assert hope(study(), plan_round(study(), 40, 1).mechanism, 0) is None


def test_approval_and_plan_say_it(hospital: HospitalFolder) -> None:
    site, asked = hospital.site, hospital.study
    facts = site_facts(asked, site, look_ahead(site, asked, 40))
    assert "near chance" in facts["what to hope for"]
    ahead = forecast(site, asked, 40)
    console = Console(file=StringIO(), width=100)
    show_forecast(ahead, console)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    assert "As the study is: with this site alone" in written
    assert ahead.as_json()["hope"] == ahead.hope
