"""Proposals: monotone in what is public, honest about noise, and clear about nonsense."""

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from client.budget import plan_round
from irene_model.errors import ConfigError
from irene_model.privacy import epsilons
from irene_model.study import Study
from simulations.hospitals.scenario import Scenario
from simulations.planning.proposal import Proposal, propose
from simulations.planning.public import Public, public_of
from simulations.planning.settings import with_settings

DEMO = Path(__file__).parents[3] / "simulations" / "scenarios" / "demo.yaml"
SCENARIO = Scenario.read(DEMO)
SUMS = SCENARIO.study
ALONE = Scenario.read(DEMO, ["federation.secure=null"]).study


def of(sites: Mapping[str, int], missing: Mapping[str, float] | None = None) -> Public:
    return Public(sites=sites, missing=missing or {})


def proposed(study: Study, *sizes: int, **how: float) -> Proposal:
    sites = {f"s{number}": size for number, size in enumerate(sizes)}
    if study.federation.secure is not None:
        asked = {"training.expected_batch": 8, "federation.secure.patients": sum(sizes)}
        study = with_settings(study, asked)
    return propose(study, of(sites), **how)  # type: ignore[arg-type]


def test_a_smaller_epsilon_has_more_noise_and_no_more_work() -> None:
    low, high = (proposed(ALONE, 4000, 2000, 1000, 1000, epsilon=e) for e in (2.0, 8.0))
    assert low.prospect.step_noise > high.prospect.step_noise
    assert low.prospect.ratio < high.prospect.ratio
    assert low.prospect.passes <= high.prospect.passes
    assert low.prospect.evaluations <= high.prospect.evaluations


def test_more_patients_have_larger_batches_and_less_noise() -> None:
    few, many = proposed(SUMS, *[250] * 4), proposed(SUMS, *[2500] * 4)
    assert few.study.training.expected_batch < many.study.training.expected_batch
    assert few.prospect.step_noise > many.prospect.step_noise
    assert many.prospect.ratio == pytest.approx(10 * few.prospect.ratio, rel=0.1)
    assert few.prospect.doubt is not None
    assert "near chance" in few.prospect.doubt
    assert few.prospect.doubt in few.advice
    assert many.prospect.doubt is None


def test_secure_sums_are_worth_about_the_root_of_the_sites_and_said_to_be() -> None:
    sums, alone = proposed(SUMS, *[2000] * 4), proposed(ALONE, *[2000] * 4)
    assert sums.prospect.ratio == pytest.approx(math.sqrt(3) * alone.prospect.ratio, rel=0.05)
    assert any("secure sums" in said for said in alone.advice)
    assert not any("secure sums" in said for said in sums.advice)


@pytest.mark.parametrize("study", [SUMS, ALONE], ids=["sums", "alone"])
def test_every_site_spends_no_more_than_the_epsilon(study: Study) -> None:
    found = proposed(study, 4000, 900, 90, 1010, epsilon=3.0)
    for size in (4000, 900, 90, 1010):
        whole = plan_round(found.study, size, 1).over(found.study.total_steps).mechanism
        assert epsilons([whole], delta=found.delta).smallest <= 3.0
    assert found.study.privacy.epsilon == 3.0


def test_what_is_proposed_is_its_own_proposal() -> None:
    first = propose(SUMS, public_of(SUMS, SCENARIO))
    assert first.settings
    assert not propose(first.study, public_of(SUMS, SCENARIO)).settings


def test_a_start_moves_less_and_a_small_cohort_trains_less_of_it() -> None:
    new, begun = proposed(SUMS, *[2000] * 4), proposed(SUMS, *[2000] * 4, started=True)
    assert begun.study.federation.server_learning_rate < new.study.federation.server_learning_rate
    assert begun.study.training.parameters.kind == "all"
    small = proposed(SUMS, *[200] * 4, started=True)
    assert small.study.training.parameters.kind in ("lora", "biases", "head")
    assert small.prospect.trained < begun.prospect.trained
    assert small.prospect.ratio > proposed(SUMS, *[200] * 4).prospect.ratio


def test_word_vectors_freeze_unless_patients_are_ample() -> None:
    trainable = with_settings(ALONE, {"text.trainable": True, "model.linear_path": False})
    assert not proposed(trainable, 3000, 3000).study.text.trainable
    assert proposed(trainable, 40_000, 40_000).study.text.trainable


def test_what_may_be_missing_is_hidden_in_training() -> None:
    public = of({"one": 5000}, {"text": 0.3, "image": 0.04})
    alone = with_settings(ALONE, {"federation.minimum_sites": 1})
    hidden = propose(alone, public).study.training.modality_dropout
    assert (hidden.text, hidden.image, hidden.labs) == (0.4, 0.15, 0.0)


def test_a_study_of_plain_averages_becomes_adam_at_the_server() -> None:
    plain = Scenario.read(DEMO.with_name("smoke.yaml"))
    found = propose(plain.study, public_of(plain.study, plain)).study
    assert (found.federation.strategy, found.federation.local_steps) == ("fedadam", 1)
    assert (found.training.optimizer, found.training.learning_rate) == ("sgd", 1.0)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"epsilon": 0.0}, "--epsilon: must be from 0.01 to 100"),
        ({"epsilon": math.nan}, "--epsilon"),
        ({"epsilon": math.inf}, "--epsilon"),
        ({"delta": 0.01}, r"--delta \(privacy.delta\): must be from 1e-15 and below 1 over"),
        ({"delta": 0.0}, "--delta"),
        ({"delta": math.nan}, "--delta"),
        ({"passes": 0.0}, "--passes"),
        ({"passes": math.nan}, "--passes"),
        ({"rounds": 10**7}, "--rounds"),
        ({"rounds": 0}, "--rounds"),
    ],
)
def test_nonsense_is_refused(how: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        proposed(ALONE, 4000, 4000, **how)


def test_a_study_without_an_epsilon_asks_for_one() -> None:
    without = with_settings(ALONE, {"privacy.epsilon": None, "privacy.noise_multiplier": 0.0})
    with pytest.raises(ConfigError, match="say with --epsilon what may be spent"):
        proposed(without, 4000, 4000)
    found = proposed(without, 4000, 4000, epsilon=4.0)
    assert found.study.privacy.noise_multiplier is None
    assert found.prospect.private


def test_a_linear_path_is_offered_where_something_is_frozen() -> None:
    frozen = {"kind": "frozen", "name": "words", "sha256": "0" * 64}
    plain = with_settings(ALONE, {"model.linear_path": False})
    study = with_settings(plain, {"text": {"encoder": frozen, "max_tokens": 8, "width": 32}})
    for each in (study, plain):
        assert proposed(each, 200, 200).study.model.linear_path
        assert proposed(each, 4000, 4000).study.model.linear_path
        assert not proposed(each, 40_000, 40_000).study.model.linear_path  # noise hides little
        # A start has none.
        assert not proposed(each, 200, 200, started=True).study.model.linear_path
    trained = with_settings(plain, {"text.trainable": True})
    assert not proposed(trained, 40_000, 40_000).study.model.linear_path
    assert proposed(trained, 200, 200).study.model.linear_path  # which freezes the words first
    probe = with_settings(study, {"model.method": "linear_probe"})
    assert not proposed(probe, 200, 200).study.model.linear_path
