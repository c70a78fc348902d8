"""What is compared, and the rows that come of it, by hand."""

from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import ConfigError
from simulations.compare.comparison import Interval, summarise
from simulations.compare.intervals import over_seeds
from simulations.compare.trial_grid import ARMS, grid
from simulations.report.comparison_page import gains_by_way, render
from simulations.report.page_parts import dot_plot
from tests.helpers.small_scenario import small_scenario

VARIANTS = "compare.variants={shallow: ['model.num_bidirectional_layers=0']}"


NONE: list[float | None] = [None] * 400


def spread(auroc: float) -> list[float | None]:
    """Draws evenly from 0.1 below to 0.1 above."""
    return [auroc + (i - 199.5) / 1995 for i in range(400)]


def result(row: str, seed: int, auroc: float, **facts: Any) -> dict[str, Any]:
    """A finished trial's result as `trials` writes it."""
    place, model = row.split("/")
    metric = {
        "macro": auroc,
        "ci95": [auroc - 0.1, auroc + 0.1],
        "by_label": {"gout": {"value": auroc, "ci95": None, "positives": 3, "n": 10}},
        "by_site": {"north": auroc, "south": None},
    }
    return {
        "schema": 1, "arm": place, "site": None, "model": model, "seed": seed,
        "fingerprint": "f", "rounds": 6, "kept_round": 4, "seconds": 2.0 + seed,
        "parameters": 1234, "auroc": metric, "auprc": metric,
        "calibration": {"brier": 0.1, "ece": 0.02}, "privacy": {},
        "without": {"text": {"auroc": auroc - 0.1 * (seed + 1)}},
        "validation": {"4": auroc}, "versions": {"torch": "2"}, "epsilon": None,
        "draws": {"all": spread(auroc), "by_site": {"north": spread(auroc), "south": NONE}},
    } | facts  # fmt: skip


def summary(rows: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    results = summarise(rows, labels=["gout"], sites=["north", "south"])
    count = sum(len(r) for r in rows.values())
    return results | {"study": "small <b>", "trials": count, "finished": count}


ROWS = {
    "central/irene": [result("central/irene", 0, 0.80), result("central/irene", 1, 0.90)],
    "central/other": [result("central/other", 1, 0.92), result("central/other", 0, 0.83)],
    "local/irene": [result("local/irene", 0, 0.60)],
}


def test_a_row_is_the_mean_over_seeds_and_keeps_each_seed() -> None:
    row = summary(ROWS)["arms"]["central/irene"]
    interval = over_seeds([0.80, 0.90]).ci95
    assert interval is not None
    assert row["auroc"]["macro"] == pytest.approx(0.85)
    assert row["auroc"]["ci95"] == list(interval)
    assert row["auroc"]["by_label"]["gout"]["value"] == pytest.approx(0.85)
    assert row["auroc"]["by_label"]["gout"]["positives"] == 6
    assert row["auroc"]["by_site"] == {"north": pytest.approx(0.85), "south": None}
    assert [s["auroc"]["ci95"] for s in row["seeds"]] == [
        [pytest.approx(0.7), pytest.approx(0.9)],
        [pytest.approx(0.8), pytest.approx(1.0)],
    ]
    assert row["seconds"] == 2.5 and row["parameters"] == 1234 and row["model"] == "irene"


def test_differences_are_paired_by_seed_and_the_first_row_is_the_reference() -> None:
    results = summary(ROWS)
    assert results["reference"] == "central/irene"
    assert results["arms"]["central/irene"]["difference"] is None
    other = results["arms"]["central/other"]["difference"]["auroc"]
    assert other["mean"] == pytest.approx((0.03 + 0.02) / 2) and other["seeds"] == 2
    alone = results["arms"]["local/irene"]["difference"]["auroc"]
    # Its one seed says nothing of others, but its patients do; both rows' draws move alike.
    assert alone == {"mean": pytest.approx(-0.2), "ci95": pytest.approx([-0.2, -0.2]), "seeds": 1}


def test_what_a_missing_modality_costs_is_told_by_seed() -> None:
    text = summary(ROWS)["arms"]["central/irene"]["without"]["text"]
    assert text["auroc"]["mean"] == pytest.approx((0.7 + 0.7) / 2)
    assert text["change"]["mean"] == pytest.approx(-0.15)


def test_the_largest_epsilon_of_the_seeds_is_claimed() -> None:
    spent = [
        {"north": {"epsilon": e, "delta": 1e-5, "unit": "patient"}, "south": {"epsilon": None}}
        for e in (7.5, 7.9)
    ]
    rows = {
        "federated-dp/irene": [
            result("federated-dp/irene", seed, 0.7, privacy=each) for seed, each in enumerate(spent)
        ]
    }
    privacy = summary(rows)["arms"]["federated-dp/irene"]["privacy"]
    assert privacy["north"]["epsilon"] == 7.9 and privacy["south"]["epsilon"] is None


def test_rows_without_a_finished_trial_are_left_out() -> None:
    results = summary({"central/irene": [], **{k: v for k, v in ROWS.items() if "other" in k}})
    assert list(results["arms"]) == ["central/other"] and results["reference"] == "central/other"
    assert summary({"central/irene": []})["arms"] == {}


def test_the_plot_is_ordered_and_to_scale() -> None:
    results = summary(ROWS)
    rows = sorted(results["arms"].items(), key=lambda r: -r[1]["auroc"]["macro"])
    plot = dot_plot(rows, "central/irene")
    assert plot is not None
    assert [row.name for row in plot.rows] == ["central/other", "central/irene", "local/irene"]
    best, reference, alone = plot.rows
    assert plot.reference == reference.mean
    # Per cent of the axis, linear in AUROC: 0.875, 0.85 and 0.60.
    per_unit = (best.mean - alone.mean) / 0.275
    assert reference.mean - alone.mean == pytest.approx(0.25 * per_unit)
    assert reference.seeds[1] - reference.seeds[0] == pytest.approx(0.10 * per_unit)
    assert best.low is not None and best.low < best.mean
    assert alone.low is not None and alone.mean - alone.low == pytest.approx(0.095 * per_unit)


def test_the_page_escapes_names_and_says_what_is_unfinished() -> None:
    results = summary(ROWS) | {"trials": 9}
    page = render(results)
    assert "small &lt;b&gt;" in page and "small <b>" not in page
    assert "6 of 9" not in page and "5 of 9 trainings are done" in page
    assert page.index("central/<wbr>other</span>") < page.index("local/<wbr>irene</span>")
    empty = render(summary({"central/irene": []}))
    assert "No training is finished yet" in empty


def test_the_grid_crosses_arms_models_and_seeds(tmp_path: Path) -> None:
    scenario = small_scenario(tmp_path, VARIANTS)
    trials = grid(scenario, arms=["federated-dp", "local"], models=["irene", "shallow"], seeds=2)
    assert len(trials) == 2 * 2 * (1 + 4)
    assert [t.seed for t in trials] == sorted(t.seed for t in trials)
    by_row = {t.row: t for t in trials}
    assert list(by_row)[:3] == ["federated-dp/irene", "federated-dp/shallow", "local-north/irene"]
    assert by_row["federated-dp/irene"].study == scenario.study
    assert by_row["local-east/shallow"].study.model.num_bidirectional_layers == 0
    assert not by_row["local-east/shallow"].study.privacy.enabled
    assert by_row["local-east/shallow"].folder(tmp_path).parts[-3:] == (
        "seed-1",
        "local-east",
        "shallow",
    )


def test_all_arms_that_privacy_allows_are_the_default(tmp_path: Path) -> None:
    private = {t.arm for t in grid(small_scenario(tmp_path))}
    # No start, no secure sums, and nobody asked for a federation without each site.
    assert private == set(ARMS) - {"start-only", "federated-secure", "leave-one-site-out"}
    open_study = small_scenario(tmp_path, "privacy.noise_multiplier=0")
    assert {t.arm for t in grid(open_study)} == {"central", "federated", "local", "personal"}
    assert {t.seed for t in grid(open_study)} == {0, 1, 2}


@pytest.mark.parametrize(
    ("settings", "names", "said"),
    [
        ([], {"arms": ["centrel"]}, "--arms: there is no arm 'centrel'; did you mean 'central'?"),
        ([], {"arms": [""]}, "--arms: there is no arm ''; There are central, central-dp,"),
        ([], {"models": ["iren"]}, "--models: there is no model 'iren'; did you mean 'irene'?"),
        ([], {"arms": ["local", "local"]}, "--arms: 'local' is named twice"),
        ([VARIANTS], {"models": ["shalow"]}, "did you mean 'shallow'?"),
        (
            ["compare.variants={a: ['model.layers=2']}"],
            {"models": ["a"]},
            "compare.variants.a: model.layers: unknown key",
        ),
        (["compare.variants={'../a': []}"], {"models": ["../a"]}, "can't name a folder"),
        ([], {"arms": ["personal"]}, "goes on at each site from what federated-dp learned; name"),
        ([], {"epsilons": [0.0]}, "--epsilons: give numbers above 0"),
        ([], {"arms": ["local"], "epsilons": [1.0]}, "--epsilons: are for the arms central-dp,"),
        (
            ["privacy.noise_multiplier=0"],
            {"arms": ["federated-dp"]},
            "arm federated-dp: the study is without privacy; set privacy.epsilon",
        ),
    ],
)
def test_wrong_names_are_refused_with_a_hint(
    tmp_path: Path, settings: list[str], names: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(ConfigError) as error:
        grid(small_scenario(tmp_path, *settings), **names)  # type: ignore[arg-type]
    assert said in str(error.value)


def gained(site: str | None, auroc: float, seeds: int, arm: str = "local") -> list[dict[str, Any]]:
    place = arm if site is None else f"{arm}-{site}"
    return [
        result(f"{place}/irene", seed, auroc + seed / 100, arm=arm, site=site)
        for seed in range(seeds)
    ]


def test_a_gain_is_over_the_sites_own_model_and_paired() -> None:
    rows = {
        "local-north/irene": gained("north", 0.60, 2),
        "federated-dp/irene": gained(None, 0.70, 2, "federated-dp"),
        "personal-north/irene": gained("north", 0.75, 2, "personal"),
        "personal-south/irene": gained("south", 0.75, 2, "personal"),
    }
    results = summary(rows)
    arms = results["arms"]
    assert arms["local-north/irene"]["gain"] == {} == arms["personal-south/irene"]["gain"]
    gain = arms["federated-dp/irene"]["gain"]
    assert list(gain) == ["north"] and gain["north"]["mean"] == pytest.approx(0.10)
    assert gain["north"]["ci95"] == pytest.approx([0.10, 0.10])  # over two seeds
    ways = gains_by_way(results)
    assert list(ways) == ["personal/irene", "federated-dp/irene"]
    assert ways["personal/irene"]["north"]["mean"] == pytest.approx(0.15)
    assert "+0.100" in render(results)


def test_the_gain_of_one_seed_has_an_interval_over_its_patients() -> None:
    ahead = gained(None, 0.70, 1, "federated-dp")
    ahead[0]["draws"]["by_site"]["north"] = [0.7 + (i - 199.5) / 3990 for i in range(400)]
    gain = summary({"local-north/irene": gained("north", 0.60, 1), "federated-dp/irene": ahead})[
        "arms"
    ]["federated-dp/irene"]["gain"]["north"]
    # The own model's draws move twice as far: the difference moves as far as the federation's.
    half = 0.95 * 199.5 / 3990
    assert gain["ci95"] == pytest.approx([0.10 - half, 0.10 + half], abs=1e-6)


def test_over_folds_intervals_are_of_patients_and_of_nothing_else() -> None:
    rows = {"local-north/irene": gained("north", 0.60, 3), "central/irene": ROWS["central/irene"]}
    results = summarise(rows, labels=["gout"], sites=["north"], over=Interval.PATIENTS)
    row = results["arms"]["local-north/irene"]
    assert row["auroc"]["ci95"] == pytest.approx([0.61 - 0.095, 0.61 + 0.095], abs=1e-6)
    assert row["auprc"]["ci95"] is None and row["auroc"]["by_label"]["gout"]["ci95"] is None
    assert results["over"] == "patients" and "folds of the same patients" in results["interval"]
    page = render(results | {"study": "s", "trials": 5, "finished": 5})
    assert "Real patients." in page and "Synthetic patients." not in page


def test_epsilons_cross_the_arms_with_privacy_and_what_goes_on_from_them(tmp_path: Path) -> None:
    arms = ["local", "federated-dp", "personal"]
    trials = grid(small_scenario(tmp_path), arms=arms, seeds=1, epsilons=[1.0, 4.0])
    rows = [trial.row for trial in trials if trial.site in (None, "north")]
    assert rows == [
        "local-north/irene",
        "federated-dp-epsilon1/irene",
        "federated-dp-epsilon4/irene",
        "personal-epsilon1-north/irene",
        "personal-epsilon4-north/irene",
    ]
    by_row = {trial.row: trial for trial in trials}
    assert by_row["federated-dp-epsilon4/irene"].study.privacy.epsilon == 4
    from_it = by_row["personal-epsilon4-north/irene"]
    assert from_it.goes_on == by_row["federated-dp-epsilon4/irene"]
    assert not from_it.study.privacy.enabled
