"""A round's plan under secure sums: one rate for all, shared noise, and limits on both epsilons."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.budget.plan import evaluations_of, permitted_evaluation, permitted_plan, plan_round
from client.site.site import Site
from irene_model.errors import LimitExceeded, MetricsWithheld, ProtocolError
from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.calibration import evaluation_noise, noise_multiplier_for
from irene_model.privacy.shared_noise import joint_noise, share_of
from irene_model.secure.shares import sample_rate, share_of_evaluation, share_of_training
from irene_model.study.records import HeldOut
from tests.helpers.hospital_folder import SITE
from tests.helpers.secure_study import secure_study

DELTA = 1e-5


def site(**changes: Any) -> Site:
    budget = {"epsilon": 8, "delta": DELTA, "alone": 60}
    return Site.model_validate({**SITE, "budget": budget, **changes})


@given(declared=st.integers(1, 10**6))
def test_the_rate_is_one_for_all_whatever_the_sites_size(declared: int) -> None:
    plan = plan_round(secure_study(privacy={"noise_multiplier": 1.5}), declared, 1)
    assert plan.mechanism.sample_rate == plan.alone.sample_rate == 40 / 800
    assert plan.expected_batch == 40 and plan.mechanism.steps == 1


def test_all_rounds_of_the_fewest_sites_spend_the_target() -> None:
    """Against an independent calibration and the accountants themselves."""
    asked = secure_study()
    plan = plan_round(asked, 10, 1)
    whole = noise_multiplier_for(4.0, delta=DELTA, sample_rate=0.05, steps=30)
    assert plan.mechanism.noise_multiplier == whole
    assert plan.share == pytest.approx(whole / 3**0.5)
    rounds = [plan_round(asked, 10, number).mechanism for number in range(1, 31)]
    assert 0.99 * 4 <= epsilons(rounds, delta=DELTA).smallest <= 4
    more = [plan_round(asked, 10, number, sites=7).mechanism for number in range(1, 31)]
    assert more[0].noise_multiplier == pytest.approx(whole * (5 / 3) ** 0.5)
    assert epsilons(more, delta=DELTA).smallest < 3.2
    assert plan_round(asked, 10, 1, sites=7).share == plan.share


def test_what_is_charged_is_what_the_grid_adds() -> None:
    """Noise is drawn on the grid by `irene_model.secure` and charged by the plan."""
    asked = secure_study(evaluation={"epsilon": 2.0, "start": True})
    assert plan_round(asked, 10, 1).share == share_of_training(asked)
    assert plan_round(asked, 10, 1).mechanism.sample_rate == sample_rate(asked)
    splits: tuple[HeldOut, ...] = ("validation", "test")
    for split in splits:
        found = permitted_evaluation(site(), asked, split, 30).share
        assert found == share_of_evaluation(asked, split)


@pytest.mark.parametrize("sites", [0, 1, 3, 4, 51])
def test_a_number_of_sites_that_the_study_does_not_allow_is_refused(sites: int) -> None:
    asked = secure_study(privacy={"noise_multiplier": 1.5})
    for judge in (
        lambda: permitted_plan(site(), asked, 10, 1, sites=sites),
        lambda: permitted_evaluation(site(), asked, "validation", 1, sites=sites),
    ):
        with pytest.raises(ProtocolError, match="it takes 5 to 50"):
            judge()


def test_a_site_whose_budget_says_nothing_of_it_declines() -> None:
    asked = secure_study()
    without = site(budget={"epsilon": 8, "delta": DELTA})
    for judge in (
        lambda: permitted_plan(without, asked, 10, 1),
        lambda: permitted_plan(without, asked, 10, 1, sites=9),
        lambda: permitted_evaluation(without, asked, "validation", 1),
    ):
        with pytest.raises(LimitExceeded, match=r"add `alone` to `budget` in site\.yaml"):
            judge()
    assert permitted_plan(site(budget="none"), asked, 10, 1) == plan_round(asked, 10, 1)


def test_the_limit_is_on_what_a_whole_run_spends_if_all_others_collude() -> None:
    asked = secure_study(evaluation={"noise_multiplier": 3.0})
    plan = plan_round(asked, 10, 1)
    spent = epsilons([replace(plan.alone, steps=30)], delta=DELTA)
    evaluated = {
        split: epsilons([noise.alone], delta=DELTA).smallest
        for split, noise in evaluations_of(site(), asked).items()
    }
    assert evaluated["validation"] > spent.smallest > epsilons(
        [replace(plan.mechanism, steps=30)], delta=DELTA
    ).smallest  # fmt: skip

    def limited(most: float, **changes: Any) -> Site:
        return site(limits={"largest_epsilon_alone": most}, **changes)

    with pytest.raises(LimitExceeded, match=r"an epsilon if all others collude of .*_alone in"):
        permitted_plan(limited(0.99 * spent.smallest), asked, 10, 1)
    between = (spent.smallest + spent.rdp) / 2  # the smaller bound decides
    with pytest.raises(LimitExceeded, match="of validation patients if all others collude"):
        permitted_plan(limited(between), asked, 10, 1)
    with pytest.raises(LimitExceeded, match="of validation patients if all others collude"):
        permitted_evaluation(limited(between), asked, "validation", 1)
    assert permitted_plan(limited(between, metrics="off"), asked, 10, 1) == plan
    assert permitted_plan(limited(evaluated["validation"]), asked, 10, 1) == plan


def test_limits_are_judged_with_the_fewest_sites_whoever_is_in() -> None:
    """Else a site would take part in some rounds of a study and not in others."""
    asked = secure_study(privacy={"noise_multiplier": 1.5, "delta": DELTA})
    noisy = site(limits={"smallest_noise_multiplier": 1.5})
    assert permitted_plan(noisy, asked, 10, 1, sites=9).mechanism.noise_multiplier > 1.5
    noisier = site(limits={"smallest_noise_multiplier": 1.51})
    for sites in (None, 5, 9):
        with pytest.raises(LimitExceeded, match="smallest_noise_multiplier"):
            permitted_plan(noisier, asked, 10, 1, sites=sites)


@pytest.mark.parametrize("sites", [None, 5, 8])
def test_evaluations_share_their_noise_alike(sites: int | None) -> None:
    asked = secure_study(evaluation={"epsilon": 2.0})
    whole = evaluation_noise(asked, "validation")
    found = permitted_evaluation(site(), asked, "validation", 1, sites=sites)
    share = share_of(whole, sites=5, colluding=2)
    assert found.share == share
    joint = joint_noise(share, sites=sites or 5, colluding=2)
    assert found.mechanism.noise_multiplier == pytest.approx(joint)
    assert found.alone == Mechanism(noise_multiplier=share, sample_rate=1.0, steps=1)
    run = [permitted_evaluation(site(), asked, "validation", n).mechanism for n in range(1, 31)]
    assert 0.99 * 2 <= epsilons(run, delta=DELTA).smallest <= 2


def test_exact_sums_of_counts_are_for_sites_that_send_exact_ones() -> None:
    asked = secure_study(evaluation={"noise_multiplier": 0.0})
    with pytest.raises(MetricsWithheld, match="with noise only"):
        permitted_evaluation(site(), asked, "test", 1, sites=6)
    found = permitted_evaluation(site(metrics="exact"), asked, "test", 1, sites=6)
    assert not found.private and found.share == 0


def test_a_study_without_noise_has_a_plan_and_a_budget_declines_it() -> None:
    plan = plan_round(secure_study(privacy={"noise_multiplier": 0.0}), 10, 1, sites=6)
    assert not plan.private and plan.share == 0 and plan.alone == plan.mechanism
