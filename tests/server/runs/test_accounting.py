"""What a run cost each site: never less than its ledger holds, whatever the server got to hear."""

from typing import Any

import pytest

from irene_model.privacy.accountants import Mechanism, epsilon, epsilons
from irene_model.study.study import Evaluation, Study
from server.runs.accounting import _in_advance, spending, spent_until

STEP = Mechanism(noise_multiplier=1.5, sample_rate=0.1, steps=3)
DELTA = 1e-5
VALIDATION = Mechanism(noise_multiplier=2.0, sample_rate=1.0, steps=1)
STUDY = Study.model_validate(
    {
        "name": "spending",
        "labels": ["pneumonia"],
        "image": {"size": 32, "patch": 16},
        "federation": {"rounds": 5, "local_steps": 3},
        "privacy": {"epsilon": 8, "delta": DELTA},
        "evaluation": {"noise_multiplier": 2.0},
    }
)


def told(outcome: str = "updated", *, charged: int, **changes: Any) -> dict[str, Any]:
    return {
        "outcome": outcome, "noise_multiplier": 1.5, "sample_rate": 0.1, "rounds_charged": charged,
        **changes,
    }  # fmt: skip


def silent(outcome: str, **changes: Any) -> dict[str, Any]:
    return {"outcome": outcome, "reason": "r", **changes}


def lines(*entries: dict[str, Any] | None) -> list[dict[str, Any]]:
    """A line a round, of the site `north`; None where the line does not name it."""
    return [
        {"round": number, "sites": {} if entry is None else {"north": entry}}
        for number, entry in enumerate(entries, start=1)
    ]


def spent(*entries: dict[str, Any] | None, restarted: tuple[int, ...] = ()) -> dict[str, Any]:
    return spending(lines(*entries), {}, STUDY, restarted=restarted)


def of_rounds(count: int) -> float:
    return epsilons([STEP] * count, delta=DELTA).smallest


def test_both_bounds_are_given_and_the_smaller_counts() -> None:
    found = spent(told(charged=1), told(charged=2))["north"]
    both = epsilons([STEP] * 2, delta=DELTA)
    assert found == {
        "epsilon": both.prv, "rdp": both.rdp, "prv": both.prv, "delta": DELTA, "unit": "patient",
    }  # fmt: skip
    assert both.prv is not None and both.prv < both.rdp == epsilon([STEP] * 2, delta=DELTA)


def test_a_refused_update_was_spent() -> None:
    found = spent(told(charged=1), told("refused", charged=2))["north"]
    assert found["epsilon"] == of_rounds(2)


@pytest.mark.parametrize("outcome", ["missing", "failed", "refused"])
def test_a_round_of_which_nothing_was_heard_may_have_been_spent(outcome: str) -> None:
    assert spent(told(charged=1), silent(outcome))["north"]["epsilon"] == of_rounds(2)


@pytest.mark.parametrize("outcome", ["declined", "absent"])
def test_a_round_without_the_site_costs_it_nothing(outcome: str) -> None:
    assert spent(told(charged=1), silent(outcome))["north"]["epsilon"] == of_rounds(1)


def test_the_next_reply_says_what_silence_had_cost() -> None:
    silence = (told(charged=1), silent("missing"), silent("failed"))
    assert spent(*silence)["north"]["epsilon"] == of_rounds(3)
    assert spent(*silence, told(charged=3))["north"]["epsilon"] == of_rounds(3)  # one was charged
    assert spent(*silence, told(charged=2))["north"]["epsilon"] == of_rounds(2)  # none was


def test_a_decline_or_a_failure_says_what_the_ledger_holds() -> None:
    for outcome in ("declined", "failed"):
        refused = silent(outcome, rounds_charged=1)
        assert spent(told(charged=1), refused, restarted=(2,))["north"]["epsilon"] == of_rounds(1)
        charged = silent(outcome, rounds_charged=2)
        assert spent(told(charged=1), charged)["north"]["epsilon"] == of_rounds(2)


@pytest.mark.parametrize("then", [None, silent("absent"), silent("declined")])
def test_a_restart_forgets_replies_and_not_what_they_cost(then: dict[str, Any] | None) -> None:
    seen = (told(charged=1), then, silent("absent"))
    assert spent(*seen)["north"]["epsilon"] == of_rounds(1)
    assert spent(*seen, restarted=(2,))["north"]["epsilon"] == of_rounds(2)


def test_an_unknown_round_costs_as_much_as_the_costliest_known_one() -> None:
    dear = Mechanism(noise_multiplier=1.2, sample_rate=0.2, steps=3)
    found = spent(
        told(charged=1, sample_rate=0.2), told(charged=2, noise_multiplier=1.2), silent("missing")
    )["north"]
    known = [
        Mechanism(noise_multiplier=1.5, sample_rate=0.2, steps=3),
        Mechanism(noise_multiplier=1.2, sample_rate=0.1, steps=3),
    ]
    assert found["rdp"] == epsilon([*known, dear], delta=DELTA)


def test_a_ledger_that_tells_too_little_is_not_believed() -> None:
    assert spent(told(charged=1), told(charged=0))["north"]["epsilon"] == of_rounds(2)


@pytest.mark.parametrize(
    "lie",
    [
        {"sample_rate": 0.0}, {"sample_rate": 1e-300}, {"noise_multiplier": 1e200},
        {"noise_multiplier": 0.01}, {"rounds_charged": 10**13}, {"noise_multiplier": float("nan")},
        {"sample_rate": "x"}, {"rounds_charged": None},
    ],
)  # fmt: skip
def test_of_a_refused_reply_nothing_is_used(lie: dict[str, Any]) -> None:
    """Older servers wrote what a refused reply said; it counts as one that was never heard."""
    found = spent(told(charged=1), told("refused", charged=2) | lie)
    assert found["north"]["epsilon"] == of_rounds(2)


def test_no_more_rounds_are_charged_than_the_study_has() -> None:
    assert spent(told(charged=10**13))["north"]["epsilon"] == of_rounds(1)
    assert spent(told(charged=900))["north"]["epsilon"] == of_rounds(5)


def test_a_count_that_falls_forgets_nothing() -> None:
    """A lost ledger: what it had told before was charged, also where no reply had named it."""
    fallen = (told(charged=1), silent("missing"), silent("failed", rounds_charged=2))
    assert spent(*fallen, silent("failed", rounds_charged=0))["north"]["epsilon"] == of_rounds(2)


def test_without_noise_there_is_no_epsilon() -> None:
    found = spent(told(charged=1, noise_multiplier=0.0))["north"]
    assert found["epsilon"] is found["rdp"] is found["prv"] is None


def test_a_site_that_never_told_its_noise_is_left_out() -> None:
    assert spent(silent("missing"), silent("declined")) == {}


def evaluated(noise: float = 2.0, **told: Any) -> dict[str, Any]:
    return {"outcome": "evaluated", "reason": "", "noise_multiplier": noise, **told}


def with_evaluations(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    """As many rounds, each with an evaluation of north."""
    updates = lines(*(told(charged=number) for number in range(1, len(entries) + 1)))
    return [
        {**line, "evaluation": {"sites": {"north": entry}}}
        for line, entry in zip(updates, entries, strict=True)
    ]


def test_the_split_that_spent_the_most_counts() -> None:
    few = spending(with_evaluations(evaluated()), {}, STUDY)["north"]
    assert few["epsilon"] == max(of_rounds(1), epsilons([VALIDATION], delta=DELTA).smallest)
    many = spending(with_evaluations(*[evaluated()] * 4), {}, STUDY)["north"]
    assert many["rdp"] == epsilon([VALIDATION] * 4, delta=DELTA) > of_rounds(4)
    test = spending(lines(told(charged=1)), {"north": evaluated(noise=0.5)}, STUDY)["north"]
    assert test["rdp"] == epsilon(
        [Mechanism(noise_multiplier=0.5, sample_rate=1.0, steps=1)], delta=DELTA
    )


@pytest.mark.parametrize("outcome", ["missing", "refused", "failed"])
def test_an_evaluation_of_which_nothing_was_heard_counts(outcome: str) -> None:
    heard = spending(with_evaluations(*[evaluated()] * 4), {}, STUDY)
    unheard = spending(with_evaluations(*[evaluated()] * 3, silent(outcome)), {}, STUDY)
    assert unheard == heard


@pytest.mark.parametrize("entry", [silent("declined"), evaluated(noise=0.0)])
def test_no_evaluation_and_an_exact_one_charge_nothing(entry: dict[str, Any]) -> None:
    assert spending(with_evaluations(entry), {}, STUDY)["north"]["epsilon"] == of_rounds(1)


def test_where_patients_moved_between_splits_all_charges_add_up() -> None:
    told_more = evaluated(epsilon_told=50.0)
    moved = spending(with_evaluations(*[told_more] * 2), {}, STUDY)["north"]
    assert moved["rdp"] == epsilon([STEP, STEP, VALIDATION, VALIDATION], delta=DELTA)


def test_an_epsilon_out_of_reach_ends_no_run() -> None:
    impossible = STUDY.model_copy(update={"evaluation": Evaluation(epsilon=1e-9)})
    found = spending(with_evaluations(silent("declined")), {}, impossible)
    assert found["north"]["epsilon"] == of_rounds(1)


def with_late(entries: list[dict[str, Any]], late_in: int, late: dict[str, Any]) -> float:
    told_of = lines(*entries)
    told_of[late_in - 1]["late"] = [{"site": "north", "round": 1, **late}]
    return float(spending(told_of, {}, STUDY)["north"]["epsilon"])


@pytest.mark.parametrize("outcome", ["updated", "discarded", "refused"])
def test_a_late_update_was_charged_once_whatever_became_of_it(outcome: str) -> None:
    entries = [silent("missing"), told(charged=2)]
    assert with_late(entries, 2, told(outcome, charged=1)) == of_rounds(2)
    if outcome == "refused":
        return  # of such a reply nothing is used, and nothing else tells of a mechanism here
    gone = [silent("missing"), silent("absent", asked=False)]
    assert with_late(gone, 2, told(outcome, charged=1)) == of_rounds(1)
    both = [silent("missing"), silent("missing")]
    assert with_late(both, 2, told(outcome, charged=1)) == of_rounds(2)


def test_a_site_that_was_not_asked_spent_nothing_and_one_that_was_may_have() -> None:
    def of_second(**entry: Any) -> float:
        found = spent(told(charged=1), {"reason": "r", **entry})
        return float(found["north"]["epsilon"])

    assert of_second(outcome="failed", asked=False) == of_rounds(1)  # left out at its greeting
    assert of_second(outcome="waiting") == of_rounds(1)
    assert of_second(outcome="absent", asked=True) == of_rounds(2)  # in an earlier attempt


def test_a_site_is_believed_where_it_tells_what_its_splits_explain() -> None:
    counted = max(of_rounds(2), epsilons([VALIDATION] * 2, delta=DELTA).smallest)
    for epsilon_told in (counted, counted * (1 + 1e-9), 0.0):  # of another machine's rounding
        entries = [evaluated(epsilon_told=epsilon_told)] * 2
        assert spending(with_evaluations(*entries), {}, STUDY)["north"]["epsilon"] == counted


def test_each_round_shows_what_the_results_would_count_and_the_last_one_does() -> None:
    seen = with_evaluations(*[evaluated()] * 5)
    for count in range(1, 6):
        until = spending(seen[:count], {}, STUDY)["north"]["epsilon"]
        assert spent_until(seen[:count], STUDY) == {"north": until}
        assert spent_until(seen[:count], STUDY, last=True) == {"north": until}


def long_run(rounds: int) -> Study:
    federation = STUDY.federation.model_copy(update={"rounds": rounds})
    return STUDY.model_copy(update={"federation": federation})


def test_a_long_run_shows_bounds_that_are_few_and_hardly_above() -> None:
    study, rounds = long_run(10_000), [1, 100, 128, 129, 200, 255, 256, 257, 1000, 2999, 10_000]
    for count in rounds:
        seen = lines(told(charged=count))
        exact = spending(seen, {}, study)["north"]["epsilon"]
        shown = spent_until(seen, study)["north"]
        assert shown is not None and exact <= shown <= 1.016 * exact
        assert count > 128 or shown == exact
        assert spent_until(seen, study, last=True)["north"] == exact
    found = {_in_advance(count, 10_000) for count in range(1, 10_001)}
    assert len(found) < 550 and max(found) == 10_000
    assert all(0 <= _in_advance(n, 10_000) - n <= n / 64 for n in range(1, 10_001))


def test_what_is_counted_in_advance_stays_within_the_study() -> None:
    study = long_run(1001)  # seven bits would make 1008 of it
    seen = lines(told(charged=1001))
    assert spent_until(seen, study)["north"] == spending(seen, {}, study)["north"]["epsilon"]
    more = lines(told(charged=1003))  # a ledger that holds more than the study asked for
    assert spent_until(more, study)["north"] == spending(more, {}, study)["north"]["epsilon"]


def test_a_site_whose_size_changes_all_the_time_costs_no_time() -> None:
    rates = [0.1 + 1e-4 * number for number in range(9)]
    seen = lines(*(told(charged=n, sample_rate=rate) for n, rate in enumerate(rates, start=1)))
    found = spending(seen, {}, STUDY)["north"]
    assert found["prv"] is None and found["epsilon"] == found["rdp"] > 0
    few = spending(seen[:8], {}, STUDY)["north"]
    assert few["prv"] is not None and few["epsilon"] == few["prv"] < few["rdp"]
