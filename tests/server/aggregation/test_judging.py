"""An update is good as a whole, or nothing of it counts."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.exchange.protocol import Arrays
from irene_model.exchange.replies import TrainReply
from irene_model.privacy.calibration import noise_multiplier_for
from irene_model.study.study import Study
from irene_model.weights.weights import new_model, to_arrays, trained_names
from server.aggregation import judging
from server.aggregation.judging import Judge, facts
from server.aggregation.tally import WeightedMean, norm
from tests.helpers.made_up_site import STUDY, made_up_reply, study_of


def judge_of(study: Study, *lines: dict[str, Any]) -> Judge:
    model = new_model(study, seed=0)
    judge = Judge(study, trained_names(model), lines)
    judge.begin(to_arrays(model))
    return judge


def judged(study: Study = STUDY, *lines: dict[str, Any], **changes: Any) -> Any:
    reply = made_up_reply(study, "north", 1).model_copy(update=changes)
    judge = judge_of(study, *lines)
    judge.check_identity(reply, "north", 1)
    return judge.contribution(reply, factor=0.5)


def test_a_good_update_weighs_as_many_patients_as_its_site_declares() -> None:
    good = judged()
    assert (good.site, good.weight, good.labels.tolist()) == ("north", 50.0, [True, True])


def spoil(change: Callable[[Arrays], object]) -> Arrays:
    arrays = {k: v.copy() for k, v in made_up_reply(STUDY, "north", 1).arrays.items()}
    change(arrays)
    return arrays


def scale(arrays: Arrays) -> None:
    for array in arrays.values():
        array *= 1e4


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"site": "south"}, "another site"),
        ({"round": 2}, "another round"),
        ({"fingerprint": "0" * 64}, "another study"),
        ({"weight": 0.0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"weight": float("inf")}, "weight"),
        ({"weight": 1e-6}, "whole number of patients"),
        ({"weight": 99.5}, "whole number of patients"),
        ({"weight": 3000.0}, "largest_cohort is 2000"),
        ({"rounds_charged": 4}, "more rounds than the study's 3"),
        ({"weight": 1000.0}, "sampling rate"),
        ({"sample_rate": 0.0}, "sampling rate"),
        ({"noise_multiplier": 0.1}, "noise multiplier"),
        ({"noise_multiplier": 1e9}, "noise multiplier"),
        ({"modalities": "image,smell"}, "modality"),
        ({"modalities": "image,labs,age,sex"}, r"'embeddings\.text.* is unknown"),
        ({"labels": "1"}, "labels"),
        ({"labels": "00"}, "labels"),
        ({"arrays": spoil(lambda a: a.pop("head.bias"))}, r"'head\.bias' is missing"),
        ({"arrays": spoil(lambda a: a.update(more=a["head.bias"]))}, "'more' is unknown"),
        ({"arrays": spoil(lambda a: a.update({"head.bias": np.zeros(3, np.float32)}))}, "shape"),
        ({"arrays": spoil(lambda a: a.update({"head.bias": np.zeros(2)}))}, "float64"),
        ({"arrays": spoil(lambda a: a["head.bias"].fill(np.nan))}, "not finite"),
        ({"arrays": spoil(lambda a: a["head.bias"].fill(0.06))}, r"'head\.bias' moves a weight by"),
        ({"arrays": spoil(scale)}, "norm is .*, and clip norm, noise and learning rate allow"),
    ],
)
def test_a_bad_update_is_refused_with_its_reason(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        judged(**changes)


def line(weight: float, norm: float) -> dict[str, Any]:
    entry = {"outcome": "updated", "weight": weight, "norm": norm}
    return {"round": 1, "sites": {"north": entry}}


def test_a_cohort_may_grow_and_not_jump() -> None:
    judged(STUDY, line(80.0, 1.0))
    with pytest.raises(ProtocolError, match="declares 100 patients and declared 40 before"):
        judged(STUDY, line(40.0, 1.0))


def test_without_clip_or_noise_the_runs_experience_is_the_measure() -> None:
    study = study_of(training={"optimizer": "sgd", "expected_batch": 4})
    judged(study)  # nothing to compare with
    judged(study, *[line(100.0, 0.1)] * 3)
    with pytest.raises(ProtocolError, match=r"ten times the usual norm of this run is 0\.001"):
        judged(study, *[line(100.0, 1e-4)] * 3)


def test_the_noise_is_the_one_that_the_study_leads_to() -> None:
    study = study_of(privacy={"epsilon": 8.0, "delta": 1e-3})
    judged(study)
    with pytest.raises(ProtocolError, match="noise multiplier"):
        judged(study, noise_multiplier=made_up_reply(study, "north", 1).noise_multiplier * 1.1)


def test_a_site_for_which_no_noise_is_enough_is_refused_and_ends_no_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = study_of(privacy={"epsilon": 8.0, "delta": 1e-3})

    def out_of_reach(*_: object, **__: object) -> float:
        raise ValueError("epsilon 8 at delta 0.001 is out of reach")

    reply = made_up_reply(study, "north", 1)
    monkeypatch.setattr(judging, "noise_multiplier_for", out_of_reach)
    with pytest.raises(ProtocolError, match="no noise is enough for so few patients"):
        judged(study, noise_multiplier=reply.noise_multiplier)


def test_a_line_tells_what_a_site_said() -> None:
    entry = facts(made_up_reply(STUDY, "north", 1))
    assert entry["outcome"] == "updated" and entry["weight"] == 100.0
    declined = TrainReply(
        site="n", round=1, fingerprint="", outcome="declined", reason="why", code="budget"
    )
    assert facts(declined) == {
        "outcome": "declined", "reason": "why", "code": "budget", "seconds": 0.0, "weight": 0.0,
    }  # fmt: skip


def test_a_cohort_for_which_no_noise_is_enough_is_refused() -> None:
    study = study_of({"largest_cohort": None}, privacy={"epsilon": 1e-7, "delta": 1e-9})
    known = made_up_reply(STUDY, "north", 1).model_copy(
        update={"fingerprint": study.fingerprint, "weight": 1.0, "sample_rate": 1.0}
    )
    with pytest.raises(ProtocolError, match="no noise is enough for so few patients"):
        judge_of(study).contribution(known)


def sgd() -> Study:
    return study_of(
        training={"expected_batch": 32, "optimizer": "sgd", "learning_rate": 0.1},
        privacy={"epsilon": 8.0, "clip_norm": 1.0, "delta": 1e-5},
    )


@pytest.mark.parametrize("weight", [1.0, 2.0, 8.0, 32.0])
def test_a_small_declared_cohort_moves_the_mean_no_further_than_the_expected_batch(
    weight: float,
) -> None:
    """Whatever one site says of its size, what its update may do to a mean is the study's."""
    study = sgd()
    steps = study.total_steps
    noise = noise_multiplier_for(8.0, delta=1e-5, sample_rate=1.0, steps=steps)

    def largest(weight: float) -> float:
        judge, value, reached = judge_of(study), 1e-6, 0.0
        rate = min(1.0, 32 / weight)
        for _ in range(60):
            reply = made_up_reply(study, "mallory", 1, value).model_copy(
                update={"weight": weight, "sample_rate": rate, "noise_multiplier": noise}
            )
            try:
                kept = judge.contribution(reply)
            except ProtocolError as error:
                assert "norm is" in str(error)
                return reached
            mean = WeightedMean(to_arrays(new_model(study, seed=0)), least_weight=32.0)
            mean.add(kept)
            reached, value = norm(mean.result()), value * 1.3
        raise AssertionError("no bound")

    assert largest(weight) <= 1.31 * largest(32.0)


def test_without_clip_or_noise_the_first_updates_are_bounded_by_the_weights() -> None:
    study = study_of(training={"optimizer": "sgd", "expected_batch": 4})
    judged(study)
    with pytest.raises(ProtocolError, match="ten times what the weights have"):
        judged(study, arrays={n: a * 1e9 for n, a in made_up_reply(study, "n", 1).arrays.items()})
