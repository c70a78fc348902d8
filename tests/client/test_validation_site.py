"""A hospital that only evaluates: it trains never, and its patients spend on evaluations alone."""

import pytest

from client.budget.outlook import look_ahead
from client.budget.study_view import site_facts
from client.check.quality import inspect, with_cost
from client.ledger.ledger import Ledger
from irene_model.errors import ConfigError
from tests.helpers.hospital_folder import HospitalFolder
from tests.helpers.sites.asked_site import charges, evaluate, hello, train

pytestmark = pytest.mark.usefixtures("small_model")


@pytest.fixture
def validates(hospital: HospitalFolder) -> HospitalFolder:
    """All ten patients are held out; the study's metrics are noised."""
    hospital.configure("role", "validation-site")
    hospital.configure("columns.split", None)
    hospital.configure("splits", {"validation": 0.4, "test": 0.5})
    hospital.configure("evaluation", {"noise_multiplier": 2.0}, "study.yaml")
    return hospital


def test_it_says_who_it_is(validates: HospitalFolder) -> None:
    reply = hello(validates)
    assert (reply.outcome, reply.reason, reply.only_evaluates) == ("ready", "", 10.0)


def test_a_site_that_trains_says_nothing_of_it(hospital: HospitalFolder) -> None:
    assert hello(hospital).only_evaluates == 0


def test_it_never_trains_and_is_charged_nothing(validates: HospitalFolder) -> None:
    reply = train(validates)
    assert (reply.outcome, reply.code, reply.arrays) == ("declined", "limits", {})
    assert reply.reason == "this site only evaluates (role in site.yaml) and never trains"
    assert charges(validates) == 0
    assert not (validates.folder / ".irene" / "cache").exists()  # and opens no file for it


def test_it_evaluates_and_is_charged_for_that_alone(validates: HospitalFolder) -> None:
    reply = evaluate(validates)
    assert (reply.outcome, reply.reason) == ("evaluated", "")
    assert reply.noise_multiplier == 2.0 and reply.epsilon_run > 0
    ledger = Ledger.of(validates.site)
    (charge,) = ledger.reservations()
    assert charge.split == "test"
    assert evaluate(validates).arrays["histograms"].tobytes() == (
        reply.arrays["histograms"].tobytes()
    )
    assert charges(validates) == 1


def test_the_ledger_is_still_that_of_its_patients(validates: HospitalFolder) -> None:
    evaluate(validates)
    for table in ("encounters.csv", "patients.csv"):
        rows = validates.rows(table)
        validates.write_rows(
            [{**row, "patient_id": f"X{row['patient_id']}"} for row in rows], table
        )
    reply = evaluate(validates)
    assert reply.outcome == "failed" and reply.code == "ledger"


def test_one_that_could_evaluate_nothing_is_told_before(validates: HospitalFolder) -> None:
    validates.configure("evaluation", {"noise_multiplier": 0.0}, "study.yaml")
    reply = hello(validates)
    assert (reply.outcome, reply.code, reply.only_evaluates) == ("declined", "metrics", 0)
    report = with_cost(inspect(validates.site, validates.study), validates.site, validates.study)
    assert report.verdict == "not ready" and "would not" in report.warnings[-1]
    validates.configure("metrics", "off")
    with pytest.raises(ConfigError, match="role: a validation site needs"):
        _ = validates.site


def test_whoever_approves_reads_that_it_only_evaluates(validates: HospitalFolder) -> None:
    site, study = validates.site, validates.study
    facts = site_facts(study, site, look_ahead(site, study, 10))
    assert next(iter(facts)) == "role" and "declines every round" in facts["role"]
    assert facts["leaves, each round"] == "nothing"


def test_the_check_speaks_of_no_training(validates: HospitalFolder) -> None:
    report = with_cost(inspect(validates.site, validates.study), validates.site, validates.study)
    assert report.splits["train"].records == 0
    assert not [each for each in report.warnings if "train" in each]
    assert report.cost is None and report.verdict != "not ready"
