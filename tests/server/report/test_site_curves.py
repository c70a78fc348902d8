"""A hospital's curve is drawn where it moves more than its noise."""

from typing import Any

import numpy as np

from irene_model.metrics.coarse_bins import coarsen
from irene_model.metrics.metrics import score_histograms
from server.evaluation.evaluation import pool
from server.evaluation.histograms import SiteHistograms
from server.report.learning_curves import curves, hidden_in_noise
from server.report.site_curves import site_curves
from server.runs.line_bounds import clean


def lines(values: list[float], width: float | None, noise: float = 3.0) -> list[dict[str, Any]]:
    return [
        {
            "round": number,
            "sites": {},
            "evaluation": {
                "auroc": value,
                "by_site": {"north": value},
                "by_site_ci95": {}
                if width is None
                else {"north": [value - width / 2, value + width / 2]},
                "sites": {"north": {"outcome": "evaluated", "noise_multiplier": noise}},
            },
        }
        for number, value in enumerate(values, start=1)
    ]


def test_the_demos_fall_by_noise_alone_is_not_drawn() -> None:
    told = lines([0.71, 0.66, 0.58], 0.2)
    assert hidden_in_noise(["north"], told) == ["north"]
    assert "AUROC at each site" not in " ".join(title for title, _ in curves(["north"], told))


def test_a_curve_that_moves_more_has_its_interval() -> None:
    told = lines([0.5, 0.6, 0.8], 0.1)
    assert hidden_in_noise(["north"], told) == []
    (chart,) = [chart for title, chart in curves(["north"], told) if "each site" in title]
    assert chart.lines[0].band


def test_noise_of_unknown_width_is_not_drawn_and_exact_counts_are() -> None:
    evaluated = [(line["round"], line["evaluation"]) for line in lines([0.5, 0.8], None)]
    assert site_curves(["north"], evaluated)[1] == ["north"]
    exact = [(line["round"], line["evaluation"]) for line in lines([0.5, 0.51], None, noise=0.0)]
    drawn, hidden = site_curves(["north", "nobody"], exact)
    assert hidden == [] and [len(curve.points) for curve in drawn] == [2, 0]


def test_a_noised_sites_interval_holds_what_other_noise_would_have_told() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((400, 1)) < 0.4
    scores = 1 / (1 + np.exp(-(rng.normal(0, 1, (400, 1)) + 1.0 * (truth - 0.5))))
    exact = coarsen(score_histograms(scores, truth, np.ones((400, 1)), np.arange(400)), 0.4)
    found = []
    for seed in range(40):
        noised = exact + 3.0 * np.random.default_rng(seed).standard_normal(exact.shape)
        site = SiteHistograms(histograms=noised, labels=np.array([1], np.int8), deviation=3.0)
        summary = pool(
            {"north": site}, ["gout"], np.random.default_rng(0), prior=0.4, replicates=10
        ).summary
        found.append((summary["by_site"]["north"], *summary["by_site_ci95"]["north"]))
    values, low, high = np.array(found).T
    assert np.all((low < values) & (values < high))
    assert np.mean((low < values.mean()) & (values.mean() < high)) >= 0.9


def test_an_interval_from_a_file_is_bounded() -> None:
    told = {"north": [0.1, 0.9], "south": [0.1, 7.0], "east": "wide", "west": [0.1]}
    line = clean({"round": 1, "sites": {}, "evaluation": {"by_site_ci95": told}})
    assert line["evaluation"]["by_site_ci95"] == {"north": [0.1, 0.9]}
    assert (
        clean({"round": 1, "sites": {}, "evaluation": {"by_site_ci95": 3}})["evaluation"][
            "by_site_ci95"
        ]
        == {}
    )
