"""Both epsilons of each site, from who was in which attempt."""

import math
from typing import Any

import pytest

from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.privacy.calibration import noise_multiplier_for
from irene_model.study.study import Study
from server.secure.shared_accounting import noise_among, planned_share, shared_spending
from tests.helpers.federations.masked_sites import NAMES, secure_study

PRIVACY = {"epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}


def study(rounds: int = 20, **federation: Any) -> Study:
    return secure_study({"rounds": rounds, **federation}, privacy=PRIVACY)


def attempts(count: int, partners: tuple[str, ...] = NAMES, **said: Any) -> list[dict[str, Any]]:
    return [
        {"what": "train", "round": n, "attempt": 1, "partners": list(partners), **said}
        for n in range(1, count + 1)
    ]


def by_hand(noise: float, steps: int, rate: float = 0.1) -> float:
    step = Mechanism(noise_multiplier=noise, sample_rate=rate, steps=steps)
    return epsilons([step], delta=1e-3).smallest


def test_the_least_that_take_part_spend_the_studys_epsilon_and_no_more() -> None:
    asked, three = study(), NAMES[:3]
    spent = shared_spending(attempts(20, three), asked)
    assert set(spent) == set(three)
    assert 0.98 * 8 < spent["east"]["epsilon"] <= 8
    z = noise_multiplier_for(8.0, delta=1e-3, sample_rate=0.1, steps=20)
    assert planned_share(asked, "train") == pytest.approx(z / math.sqrt(2))  # 3 less 1 colluding
    assert spent["east"]["epsilon_alone"] == pytest.approx(by_hand(z / math.sqrt(2), 20), rel=1e-3)


def test_more_sites_are_more_noise_against_the_coordinator_and_none_more_alone() -> None:
    three = shared_spending(attempts(20, NAMES[:3]), study())["east"]
    four = shared_spending(attempts(20), study())["east"]
    assert four["epsilon"] < three["epsilon"] and four["epsilon_alone"] == three["epsilon_alone"]
    assert noise_among(study(), "train", 4) == pytest.approx(
        noise_among(study(), "train", 3) * math.sqrt(3 / 2)
    )


def test_an_attempt_without_a_sum_is_charged_but_to_a_site_that_gave_nothing() -> None:
    whole = attempts(5)
    lost = {"what": "train", "round": 6, "attempt": 1, "partners": list(NAMES)}
    lost |= {"outcome": "aborted", "blamed": {"west": "over"}, "spared": ["west"]}
    spent, before = shared_spending([*whole, lost], study()), shared_spending(whole, study())
    assert spent["west"] == before["west"]
    for site in NAMES[:3]:
        assert spent[site]["epsilon"] > before[site]["epsilon"]
        assert spent[site]["epsilon_alone"] > before[site]["epsilon_alone"]


def test_steps_of_several_sizes_are_composed_as_what_they_were() -> None:
    asked = study()
    mixed = shared_spending([*attempts(10), *attempts(10, NAMES[:3])], asked)["east"]["epsilon"]
    steps = [
        Mechanism(noise_multiplier=noise_among(asked, "train", n), sample_rate=0.1, steps=10)
        for n in (3, 4)
    ]
    assert mixed == pytest.approx(epsilons(steps, delta=1e-3).smallest)


def test_held_out_patients_are_other_people() -> None:
    asked = study(rounds=4, evaluate_every=2)
    evaluated = [{**each, "what": "validation"} for each in attempts(2)]
    training = shared_spending(attempts(4), asked)["east"]
    both = shared_spending([*attempts(4), *evaluated], asked)["east"]
    assert both["epsilon"] == max(
        training["epsilon"], shared_spending(evaluated, asked)["east"]["epsilon"]
    )


def test_ahead_of_the_end_it_is_a_bound_within_what_the_study_plans() -> None:
    asked = study(rounds=300)
    for done in (5, 150, 290):
        exact = shared_spending(attempts(done), asked)["east"]["epsilon"]
        bound = shared_spending(attempts(done), asked, ahead=True)["east"]["epsilon"]
        assert exact <= bound <= 1.02 * exact


def test_without_noise_there_is_no_epsilon() -> None:
    spent = shared_spending(attempts(2), secure_study())["east"]
    assert (spent["epsilon"], spent["epsilon_alone"]) == (None, None)


def test_more_than_were_planned_are_told_and_not_cut() -> None:
    asked = study(rounds=2)
    assert shared_spending(attempts(6, NAMES[:3]), asked)["east"]["epsilon"] > 8
