"""What left, told from the run's records: a promise can't stand there."""

from typing import Any

from server.runs.disclosed import disclosure


def evaluated(noise: float, *withheld: str) -> dict[str, Any]:
    return {
        "outcome": "evaluated", "reason": "", "noise_multiplier": noise, "withheld": list(withheld),
    }  # fmt: skip


DECLINED = {"outcome": "declined", "reason": "metrics are turned off at this site"}


def line(number: int, sites: dict[str, Any] | None, outcome: str = "updated") -> dict[str, Any]:
    return {
        "round": number,
        "sites": {"north": {"outcome": outcome}},
        "evaluation": None if sites is None else {"auroc": 0.7, "sites": sites},
    }


def test_noised_histograms_are_covered_and_exact_ones_are_not() -> None:
    rounds = [
        line(1, {"north": evaluated(1.25), "south": evaluated(0.0), "west": DECLINED}),
        line(2, None),
        line(3, {"north": evaluated(1.25), "south": evaluated(0.0), "west": DECLINED}),
    ]
    left = disclosure(rounds, {"north": evaluated(0.7), "south": evaluated(0.0, "gout")})
    assert left.covered == (
        "score histograms of validation patients, 2 times, from north: with Gaussian noise, "
        "noise multiplier 1.25",
        "score histograms of test patients, once, from north: with Gaussian noise, noise "
        "multiplier 0.7",
    )
    exact = [sentence for sentence in left.outside if "exact counts" in sentence]
    assert [("validation" in s, "2 times, from south" in s) for s in exact] == [
        (True, True), (False, False),
    ]  # fmt: skip
    assert "south (gout)" in " ".join(left.outside)
    assert "west" not in " ".join(left.covered + left.outside)


def test_the_declared_size_of_who_only_evaluates_is_outside() -> None:
    rounds = [line(1, {"north": evaluated(1.25), "south": evaluated(1.25), "west": DECLINED})]
    said = [s for s in disclosure(rounds, {}).outside if "that only evaluate" in s]
    assert len(said) == 1 and said[0].endswith("only evaluate: south")
    alone = [line(1, {"north": evaluated(1.25)})]
    assert not any("only evaluate" in s for s in disclosure(alone, {}).outside)


def test_what_did_not_happen_is_not_listed() -> None:
    nothing = disclosure([line(1, {"north": DECLINED}, "failed")], {"north": DECLINED})
    assert nothing.covered == ()
    said = " ".join(nothing.outside)
    assert "histograms" not in said and "declared number" not in said and "minimum" not in said
    assert "declared number" in " ".join(disclosure([line(1, None)], {}).outside)


def test_sites_of_one_kind_share_a_sentence() -> None:
    (sentence,) = disclosure([], {s: evaluated(2.0) for s in ("south", "north")}).covered
    assert "from north, south" in sentence
