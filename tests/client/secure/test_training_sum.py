"""One step under secure sums, through real participants: sums, noise, attempts, and the ledger."""

import math
import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats

from client.budget.plan import plan_round
from client.private.randomness import Randomness
from client.records.dataset import open_dataset
from client.secure import training_sum
from client.site.mapped import mapped_labels, mapped_modalities
from client.training.one_step import clipped_sum
from irene_model.exchange.replies import TrainReply
from irene_model.secure.grid import Grid, grid_of_training
from irene_model.secure.vector import flatten, unflatten
from irene_model.weights.groups import choose_mapped
from irene_model.weights.weights import load_arrays, new_model
from tests.helpers.sites.secure_sites import (
    SecureSites,
    total_of,
    weights_of,
)

THREE = ("east", "north", "south")
FOUR = (*THREE, "west")
Integers = npt.NDArray[np.int64]


def grid_of(sites: SecureSites) -> Grid:
    return grid_of_training(sites.study, sum(a.size for a in weights_of(sites.study).values()))


def plain(sites: SecureSites, name: str, *, seed: int, attempt: int = 1) -> Integers:
    """The site's clipped sum on the grid, of the patients that it samples in a simulation."""
    hospital, study = sites.hospital(name), sites.study
    model = new_model(study, seed=0)
    load_arrays(model, weights := weights_of(study))
    choose_mapped(model, mapped_modalities(hospital.site, study), study.model.method)
    sums = clipped_sum(
        model,
        dataset=open_dataset(hospital.site, study),
        plan=plan_round(study, 10, 1),
        randomness=Randomness.reproducible(seed=seed, site=name, round=1, attempt=attempt),
        device=torch.device("cpu"),
        memory=hospital.site.memory,
    )
    whole = {name: sums.get(name, np.zeros_like(array)) for name, array in weights.items()}
    return grid_of(sites).encode(flatten(whole, weights))


@pytest.mark.parametrize("masked", [True, False])
def test_without_noise_the_sum_is_the_plain_one_to_the_last_bit(
    silent: SecureSites, masked: bool
) -> None:
    total = total_of(*(silent.train(name, seed=5, masked=masked) for name in THREE))
    expected = sum(plain(silent, name, seed=5) for name in THREE)
    assert isinstance(expected, np.ndarray) and np.abs(expected).max() > 1000
    np.testing.assert_array_equal(total, expected.astype(np.uint32))
    # One clipped gradient for each of at most 18 patients, and it is no row of zeros.
    real = grid_of(silent).decode(total)
    assert 0.1 < np.linalg.norm(real) <= 18 * silent.study.privacy.clip_norm


def test_the_noise_of_the_sum_is_that_of_all_its_sites(sites: SecureSites) -> None:
    replies = [sites.train(name, seed=5) for name in THREE]
    noise = total_of(*replies).view(np.int32) - sum(plain(sites, name, seed=5) for name in THREE)
    grid, count = grid_of(sites), noise.size
    deviation = grid.deviation * math.sqrt(3)
    assert abs(noise.mean()) < 5 * deviation / math.sqrt(count)
    assert noise.std() == pytest.approx(deviation, rel=5 / math.sqrt(2 * count))
    assert stats.kstest(noise / deviation, "norm").pvalue > 1e-6
    # What is charged is the noise of two of three, over what a patient can move, and no more.
    plan = plan_round(sites.study, 10, 1, sites=3)
    charged = plan.mechanism.noise_multiplier * plan.clip_norm / grid.unit
    assert charged <= grid.deviation * math.sqrt(2) <= 1.01 * charged
    for name in THREE:
        (charge,) = sites.charges(name)
        assert (charge.attempt, charge.partners) == (1, "east,north,south")
        assert charge.mechanism == plan.mechanism and charge.alone == plan.alone


def test_an_answer_alone_is_even_and_says_nothing_of_its_site(sites: SecureSites) -> None:
    reply = sites.train("north")
    assert set(reply.arrays) == {"sum"} and reply.arrays["sum"].dtype == np.uint32
    assert reply.arrays["sum"].shape == (sum(a.size for a in weights_of(sites.study).values()),)
    counts = np.bincount(reply.arrays["sum"].view(np.uint8), minlength=256)
    assert stats.chisquare(counts).pvalue > 1e-7
    assert (reply.weight, reply.modalities, reply.labels) == (0.0, "", "")
    secure = sites.study.federation.secure
    assert secure is not None
    assert reply.sample_rate == sites.study.training.expected_batch / secure.patients
    assert reply.attempt == reply.rounds_charged == 1
    assert 0 < reply.epsilon_run < reply.epsilon_alone < math.inf
    assert reply.epsilon_total == reply.epsilon_run
    flat = reply.to_flat()
    read = type(flat).unpacked(flat.packed(), flat.values)  # as it travels
    assert TrainReply.from_flat(read).arrays["sum"].tobytes() == reply.arrays["sum"].tobytes()


def test_what_a_site_does_not_map_is_zeros_in_the_sum(silent: SecureSites) -> None:
    for name in THREE:
        hospital = silent.hospital(name)
        hospital.configure("columns.text", None)
        hospital.configure("labels.death", None)
    assert not mapped_labels(silent.hospital("east").site, silent.study)[1]
    total = total_of(*(silent.train(name) for name in THREE))
    parts = unflatten(total, weights_of(silent.study))
    for name in ("embeddings.text.weight", "embeddings.text_tokens.weight"):
        assert not parts[name].any()
    for name in ("head.weight", "head.bias"):
        assert parts[name][0].any() and not parts[name][1].any()
    assert parts["embeddings.patches.weight"].any()


def test_the_same_attempt_gives_the_same_bytes_and_costs_once(sites: SecureSites) -> None:
    first, again = sites.train("north"), sites.train("north")
    asked = sites.train("north", again=True, arrays={})
    for reply in (again, asked):
        assert reply.arrays["sum"].tobytes() == first.arrays["sum"].tobytes()
        assert reply.epsilon_run == first.epsilon_run
    assert len(sites.charges("north")) == 1
    unknown = sites.train("east", again=True, arrays={})
    assert unknown.reason == "no sum of this attempt was released here before"
    assert sites.charges("east") == ()


def test_a_number_is_never_used_again_and_an_older_one_is_refused(sites: SecureSites) -> None:
    first = sites.train("north")
    others = sites.train("north", partners="east,north,west")
    assert others.outcome == "declined" and "begun here with other partners" in others.reason
    second = sites.train("north", attempt=2, partners="east,north,south,west")
    assert (second.outcome, second.attempt) == ("updated", 2)
    assert second.epsilon_run > first.epsilon_run and second.rounds_charged == 1
    stale = sites.train("north", attempt=1)
    assert (stale.outcome, stale.code, stale.arrays) == ("declined", "stale", {})
    assert [charge.attempt for charge in sites.charges("north")] == [1, 2]


@pytest.mark.parametrize(
    "hostile",
    [
        {"attempt": 0, "partners": ""},
        {"attempt": 1, "partners": "north"},
        {"attempt": 1, "partners": "east,north"},
        {"attempt": 1, "partners": "east,mars,north"},
        {"attempt": 1, "partners": "east,south,west"},
        {"attempt": 1, "partners": "north,east,south"},
        {"attempt": 1, "partners": "east,north,north"},
        {"attempt": 0, "partners": "east,north,south"},
    ],
)
def test_a_hostile_question_costs_nothing(sites: SecureSites, hostile: dict[str, Any]) -> None:
    for reply in (sites.train("north", **hostile), sites.evaluate("north", **hostile)):
        assert (reply.outcome, reply.code, reply.arrays) == ("declined", "message", {})
        assert reply.reason and "north.yaml" not in reply.reason
    assert sites.charges("north") == ()


def spread(words: npt.NDArray[np.uint32], signal: Integers) -> float:
    """The deviation of what hides `signal` in a sum, or in a difference of two, in units."""
    return float(np.std((words - signal.astype(np.uint32)).view(np.int32)))


def test_the_difference_of_two_attempts_hides_a_site_as_well_as_each_was_charged(
    sites: SecureSites,
) -> None:
    """A coordinator gives up attempt 1 of four sites, asks three, and subtracts: west is left."""
    everybody, rest = ",".join(FOUR), ",".join(THREE)
    one = total_of(*(sites.train(n, partners=everybody, seed=5) for n in FOUR))
    two = total_of(*(sites.train(n, attempt=2, partners=rest, seed=5) for n in THREE))
    old, new = ({n: plain(sites, n, seed=5, attempt=a) for n in FOUR} for a in (1, 2))
    assert not any(np.array_equal(old[n], new[n]) for n in FOUR)  # other patients each time
    grid, (charge,) = grid_of(sites), sites.charges("west")
    charged = charge.mechanism.noise_multiplier * charge.clip_norm / grid.unit
    hidden = spread(one - two, sum(old.values()) - sum(new[n] for n in THREE))
    assert hidden == pytest.approx(grid.deviation * math.sqrt(7), rel=0.06)
    assert hidden > charged == pytest.approx(grid.deviation * math.sqrt(3), rel=0.01)
    # The fault that this would find: the three send again what they sent before.
    sites.afresh()
    again = total_of(*(sites.train(n, partners=rest, seed=5) for n in THREE))
    assert spread(one - again, old["west"]) < 0.7 * charged


def test_a_late_answer_of_a_given_up_attempt_opens_nothing(sites: SecureSites) -> None:
    """Its masks fit no other attempt: added to one's sum, or subtracted, it leaves even bits."""
    late = sites.train("west", partners=",".join(FOUR))
    first = [sites.train(n, partners=",".join(FOUR)) for n in THREE[:2]]  # south was lost
    second = total_of(*(sites.train(n, attempt=2) for n in THREE))
    known = late.arrays["sum"].copy()
    for reply in first:
        known += reply.arrays["sum"]
    for words in (late.arrays["sum"] + second, known, known - second):
        counts = np.bincount(words.view(np.uint8), minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-7


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_while_it_trains(sites: SecureSites, name: str) -> None:
    """A process of its own: the charge is on disk then, and nothing is released."""
    training_sum.clipped_sum = _die  # type: ignore[assignment]
    sites.train(name)


@pytest.mark.slow
def test_killed_between_charge_and_release_the_attempt_is_taken_up_again(
    sites: SecureSites,
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=killed_while_it_trains, args=(sites, "north")
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (charge,) = sites.charges("north")
    assert not charge.released
    other = sites.train("north", partners="east,north,west")
    assert other.outcome == "declined" and "other partners" in other.reason
    reply = sites.train("north")
    assert reply.outcome == "updated"
    (charge,) = sites.charges("north")
    assert charge.released
    total_of(reply, sites.train("east"), sites.train("south"))
    again = sites.train("north")
    assert again.arrays["sum"].tobytes() == reply.arrays["sum"].tobytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda h: h.configure("budget", {"epsilon": 8, "delta": 1e-3}), "alone"),
        (lambda h: h.configure("budget", {"epsilon": 0.5, "delta": 1e-3, "alone": 60}), "budget"),
        (lambda h: h.configure("budget", {"epsilon": 8, "delta": 1e-3, "alone": 8.0}), "collude"),
    ],
)
def test_either_budget_declines(
    sites: SecureSites, change: Callable[[Any], None], said: str
) -> None:
    change(sites.hospital("north"))
    replies = [sites.train("north", round=1), sites.train("north", round=2)]
    assert replies[-1].outcome == "declined" and said in replies[-1].reason
    assert not replies[-1].arrays
