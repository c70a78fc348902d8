"""Each claim goes by its interval: supported, contradicted, or not told."""

from typing import Any

import pytest

from simulations.compare.comparison import summarise
from simulations.report.claims import claims
from simulations.report.comparison_page import chance, render
from tests.simulations.compare.test_comparison import result

SITES = ["a", "b", "c", "d"]
TRAINED = {"a": 900, "b": 400, "c": 90, "d": 50}


def draws(value: float, wide: float) -> list[float]:
    return [value + wide * (i - 199.5) / 199.5 for i in range(400)]


def trained(row: str, at: dict[str, float], wide: float = 0.0, **facts: Any) -> dict[str, Any]:
    """One seed; at each site its draws move by up to `wide`, at all together."""
    mean = sum(at.values()) / len(at)
    made = result(row, 0, mean, **facts)
    made["auroc"] = made["auroc"] | {"by_site": at}
    made["patients"] = {site: {"train": count} for site, count in TRAINED.items()}
    made["draws"] = {
        "all": draws(mean, wide),
        "by_site": {site: draws(value, wide) for site, value in at.items()},
    }
    return made


def told(way: str, *gains: float, wide: float = 0.0, **rows: Any) -> dict[str, tuple[str, str]]:
    """Claims of a way by which the sites gain so much over their own 0.6."""
    made = {
        f"local-{site}/irene": [
            trained(f"local-{site}/irene", dict.fromkeys(SITES, 0.6), arm="local", site=site)
        ]
        for site in SITES
    }
    at = {site: 0.6 + gain for site, gain in zip(SITES, gains, strict=True)}
    made[way] = [trained(way, at, wide)]
    made |= {name.replace("_", "/"): [each] for name, each in rows.items()}
    found = claims(summarise(made, labels=["gout"], sites=SITES))
    return {claim.text: (str(claim.verdict), claim.why) for claim in found}


def test_all_gain_and_the_smaller_ones_most() -> None:
    found = told("federated/irene", 0.05, 0.06, 0.10, 0.12, wide=0.01)
    assert found["The mean hospital gains by federated/irene"][0] == "supported"
    assert found["Every hospital gains by federated/irene"] == (
        "supported",
        "4 of 4 are above their own model; 4 surely gain, 0 surely lose",
    )
    smaller = found["The smaller hospitals gain most by federated/irene"]
    assert smaller[0] == "supported" and "half's: +0.055 (+0.055 to +0.055)" in smaller[1]


def test_what_patients_leave_open_is_not_claimed() -> None:
    found = told("federated/irene", 0.05, 0.06, 0.02, -0.01, wide=0.2)
    assert found["The mean hospital gains by federated/irene"][0] == "can't be told"
    assert found["Every hospital gains by federated/irene"][0] == "can't be told"
    assert found["The smaller hospitals gain most by federated/irene"][0] == "contradicted"
    one = told("federated/irene", 0.05, 0.06, 0.10, -0.12, wide=0.01)
    assert one["Every hospital gains by federated/irene"][0] == "contradicted"


@pytest.mark.parametrize(
    ("pooled", "wide", "verdict"),
    [(0.704, 0.0, "supported"), (0.75, 0.001, "contradicted"), (0.704, 0.2, "can't be told")],
)
def test_within_one_per_cent_of_pooled_training(pooled: float, wide: float, verdict: str) -> None:
    central = trained("central/irene", dict.fromkeys(SITES, pooled), wide * 2)
    found = told("federated/irene", 0.1, 0.1, 0.1, 0.1, wide=wide, central_irene=central)
    text = "federated/irene comes within 1 % of pooled training without privacy"
    assert found[text][0] == verdict and found[text][1].endswith(f"from {pooled:.3f}")


def test_first_among_models_only_where_all_are_surely_behind() -> None:
    rows = {
        f"federated/{model}": [trained(f"federated/{model}", {"a": auroc}, wide)]
        for model, auroc, wide in (("irene", 0.8, 0.0), ("late", 0.7, 0.01), ("git", 0.795, 0.1))
    }
    (claim,) = claims(summarise(rows, labels=["gout"], sites=["a"]))
    assert (claim.text, claim.verdict) == (
        "irene is first among the models of federated", "can't be told"
    )  # fmt: skip
    assert claim.why == "surely ahead of 1 of 2; not told from git"


def test_the_smallest_epsilon_that_is_worth_it() -> None:
    facts: dict[str, Any] = {"arm": "federated-dp"}
    rows = {
        f"federated-dp-epsilon{e:g}_irene": trained(
            f"federated-dp-epsilon{e:g}/irene",
            dict.fromkeys(SITES, auroc),
            0.01,
            epsilon=e,
            **facts,
        )
        for e, auroc in ((1.0, 0.5), (4.0, 0.65), (8.0, 0.7))
    }
    found = told("federated/irene", 0.2, 0.2, 0.2, 0.2, **rows)
    text = "Joining by federated-dp/irene is worth its privacy at one of epsilon 1, 4, 8"
    assert found[text] == ("supported", "the mean hospital surely gains from epsilon 4 on")
    assert not any("Every hospital gains by federated-dp" in each for each in found)


def test_the_page_says_it_first_and_that_one_seed_is_one_training() -> None:
    rows = {
        "local-a/irene": [trained("local-a/irene", {"a": 0.6}, arm="local", site="a")],
        "federated/irene": [trained("federated/irene", {"a": 0.7}, 0.01)],
    }
    results = summarise(rows, labels=["gout"], sites=["a"])
    assert results["reference"] == "federated/irene"  # not the first hospital's own model
    page = render(results | {"study": "s", "trials": 2, "finished": 2})
    assert page.index("What this comparison supports") < page.index("Is it worth joining")
    assert "There is one seed" in page and "none for a single seed" not in page
    assert [chance(p) for p in (None, 0.0, 0.04)] == ["–", "<\u00a00.001", "0.040"]
