"""The site's limits: each at its border, and that what is declined leaves no trace."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from client.budget.plan import permitted_plan, plan_round
from client.cli import app
from client.ledger.ledger import Ledger
from client.participant import Participant
from client.site.limits import Limits, check_noise, check_study
from client.site.site import Site
from irene_model.errors import ConfigError, LimitExceeded
from irene_model.exchange.requests import EvaluateRequest, HelloRequest, TrainRequest
from irene_model.privacy.accountants import epsilons
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays
from tests.helpers.hospital_folder import SITE, STUDY, HospitalFolder


def study(**changes: Any) -> Study:
    """The tests' study with keys of its sections replaced, and `labels` as they are given."""
    sections = {
        k: {**STUDY.get(k, {}), **v} if isinstance(v, dict) else v for k, v in changes.items()
    }
    return Study.model_validate({**STUDY, **sections})


def site(**limits: Any) -> Site:
    return Site.model_validate({**SITE, "limits": limits})


@pytest.mark.parametrize(
    ("limit", "allowed", "asked", "said"),
    [
        ({"largest_clip_norm": 1.5}, {"privacy": {"clip_norm": 1.5}},
         {"privacy": {"clip_norm": 1.6}}, "privacy.clip_norm 1.6; this site allows at most 1.5"),
        ({"most_rounds": 3}, {"federation": {"rounds": 3}}, {"federation": {"rounds": 4}},
         "federation.rounds 4; this site allows at most 3"),
        ({"most_local_steps": 5}, {"federation": {"local_steps": 5}},
         {"federation": {"local_steps": 6}}, "federation.local_steps 6; this site allows at most"),
        ({"presets": ["tiny"]}, {"model": {"preset": "tiny", "hidden_dropout_prob": 0.1}},
         {"model": {"preset": "base"}}, "model base; this site allows only tiny"),
        ({"presets": ["tiny"]}, {"model": {"prior": 0.2}}, {"model": {"hidden_size": 4096}},
         "model with its own hidden_size; this site allows only tiny"),
        ({"methods": ["irene"]}, {"model": {"method": "irene"}},
         {"model": {"method": "perceiver"}}, "model.method perceiver"),
        ({"labels": ["death", "pneumonia", "copd"]}, {}, {"labels": ["pneumonia", "HIV"]},
         "the label HIV; this site allows only death, pneumonia, copd"),
        ({"studies": [study().fingerprint]}, {}, {"training": {"expected_batch": 5}},
         f"this site allows only {study().fingerprint}"),
    ],
)  # fmt: skip
def test_each_limit_of_the_contract_at_its_border(
    limit: dict[str, Any], allowed: dict[str, Any], asked: dict[str, Any], said: str
) -> None:
    limits = Limits.model_validate(limit)
    check_study(limits, study(**allowed))
    with pytest.raises(LimitExceeded) as error:
        check_study(limits, study(**asked))
    (name,) = limit
    assert said in str(error.value) and f"(limits.{name} in site.yaml)" in str(error.value)
    check_study(Limits(), study(**asked))  # what is not limited is not refused


def test_noise_and_epsilon_at_their_borders() -> None:
    limits = Limits(smallest_noise_multiplier=1.2, largest_epsilon=3.0)
    check_noise(limits, noise_multiplier=1.2, epsilon=3.0)
    with pytest.raises(LimitExceeded, match=r"noise multiplier of 1\.199; .* at least 1\.2"):
        check_noise(limits, noise_multiplier=1.199, epsilon=3.0)
    with pytest.raises(LimitExceeded, match=r"an epsilon of 3\.001; .* at most 3 "):
        check_noise(limits, noise_multiplier=1.2, epsilon=3.001)
    with pytest.raises(LimitExceeded, match="an epsilon of inf"):
        check_noise(Limits(largest_epsilon=3.0), noise_multiplier=0.0, epsilon=float("inf"))
    check_noise(Limits(), noise_multiplier=0.0, epsilon=float("inf"))


def test_epsilon_is_that_of_all_rounds_at_the_sites_own_delta() -> None:
    # At a delta of 0.09 the study's epsilon of 2 takes little noise.
    asked = study(privacy={"epsilon": 2.0, "delta": 0.09})
    plan = plan_round(asked, 100, 1)
    run = [replace(plan.mechanism, steps=asked.total_steps)]
    honest = epsilons(run, delta=SITE["budget"]["delta"])
    assert honest.smallest > 1.5 * 2.0
    with pytest.raises(LimitExceeded, match=f"an epsilon of {honest.smallest:.4g}; "):
        permitted_plan(site(largest_epsilon=0.99 * honest.smallest), asked, 100, 1)
    between = (honest.smallest + honest.rdp) / 2  # the smaller bound decides, as for the budget
    assert permitted_plan(site(largest_epsilon=between), asked, 100, 1) == plan


def test_the_noise_that_counts_is_the_sites_own() -> None:
    """The study names no noise multiplier; the site computes it, and more patients need less."""
    few, many = (plan_round(study(), size, 1).mechanism.noise_multiplier for size in (10, 1000))
    bound = site(smallest_noise_multiplier=(few + many) / 2)
    permitted_plan(bound, study(), 10, 1)
    with pytest.raises(LimitExceeded, match="smallest_noise_multiplier"):
        permitted_plan(bound, study(), 1000, 1)


@pytest.mark.parametrize(
    "limits",
    [{"most_rounds": 0}, {"largest_epsilon": 0}, {"presets": []}, {"studies": ["abc"]},
     {"most_round": 3}],
)  # fmt: skip
def test_a_limit_that_means_nothing_is_a_mistake(
    hospital: HospitalFolder, limits: dict[str, Any]
) -> None:
    hospital.configure("limits", limits)
    with pytest.raises(ConfigError, match=r"site\.yaml: limits\."):
        _ = hospital.site


CONTRACT = {"most_rounds": 1}  # the study has two
NOISE = {"smallest_noise_multiplier": 1000.0}


def cached(hospital: HospitalFolder) -> list[Path]:
    return sorted((hospital.folder / ".irene").rglob("*"))


def ask_hello(hospital: HospitalFolder) -> Any:
    request = HelloRequest.about(hospital.study, run="r")
    return Participant.at(hospital.site_file).hello(request)


def ask_train(hospital: HospitalFolder) -> Any:
    arrays = to_arrays(new_model(hospital.study, seed=1))
    request = TrainRequest.about(hospital.study, run="r", round=1, arrays=arrays)
    return Participant.at(hospital.site_file).train(request)


def ask_evaluate(hospital: HospitalFolder) -> Any:
    arrays = to_arrays(new_model(hospital.study, seed=1))
    request = EvaluateRequest.about(hospital.study, run="r", round=1, split="test", arrays=arrays)
    return Participant.at(hospital.site_file).evaluate(request)


@pytest.mark.parametrize("ask", [ask_hello, ask_train, ask_evaluate])
def test_a_contract_beyond_the_limits_is_declined_before_a_file_is_opened(
    hospital: HospitalFolder, ask: Callable[[HospitalFolder], Any]
) -> None:
    hospital.configure("limits", CONTRACT)
    (hospital.folder / "encounters.csv").unlink()  # reading it would fail
    reply = ask(hospital)
    assert (reply.outcome, reply.arrays) == ("declined", {})
    assert reply.reason == (
        "the study asks for federation.rounds 2; this site allows at most 1 "
        "(limits.most_rounds in site.yaml)"
    )
    assert cached(hospital) == []


@pytest.mark.parametrize("ask", [ask_hello, ask_train])
def test_too_little_noise_is_declined_and_nothing_is_reserved(
    hospital: HospitalFolder,
    ask: Callable[[HospitalFolder], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a ledger was opened")

    hospital.configure("limits", NOISE)
    monkeypatch.setattr(Ledger, "of", refuse)
    reply = ask(hospital)
    assert (reply.outcome, reply.arrays) == ("declined", {})
    assert "this site allows at least 1000 (limits.smallest_noise_multiplier" in reply.reason
    assert not [path for path in cached(hospital) if "ledger" in path.name]


def test_a_declined_round_leaves_the_ledger_as_it_was(hospital: HospitalFolder) -> None:
    assert ask_train(hospital).outcome == "updated"
    ledger = hospital.folder / ".irene" / "ledger.sqlite"
    before = (ledger.read_bytes(), ledger.with_name("ledger.sqlite.head").read_bytes())
    for limits in (CONTRACT, NOISE):
        hospital.configure("limits", limits)
        assert ask_train(hospital).outcome == "declined"
    assert (ledger.read_bytes(), ledger.with_name("ledger.sqlite.head").read_bytes()) == before


def test_a_study_within_the_limits_is_trained(hospital: HospitalFolder) -> None:
    limits = {
        "smallest_noise_multiplier": 0.5,
        "largest_epsilon": 8,
        "largest_clip_norm": 1,
        "most_rounds": 2,
        "most_local_steps": 2,
        "methods": ["irene"],
        "presets": ["tiny"],
        "labels": ["pneumonia", "death"],
        "studies": [hospital.study.fingerprint],
    }
    hospital.configure("limits", limits)
    assert ask_hello(hospital).outcome == "ready"
    assert ask_train(hospital).outcome == "updated"


@pytest.mark.parametrize("limits", [CONTRACT, NOISE, {"most_parameters": 1000}, {"most_tokens": 9}])
def test_check_refuses_the_study_after_its_report(
    hospital: HospitalFolder, limits: dict[str, Any]
) -> None:
    arguments = ["check", str(hospital.site_file), "--study", str(hospital.study_file)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    hospital.configure("limits", limits)
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)  # which the console script makes exit code 2
    assert f"{hospital.site_file}: the study asks for " in str(result.exception)
    assert "Modalities" in result.stdout
    assert cached(hospital) == []
