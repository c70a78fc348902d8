"""What the page of a comparison says, and the table of all its numbers."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from simulations.report.comparison_page import render, split_picture
from simulations.report.forest import Entry, forest
from simulations.report.numbers_table import COLUMNS, numbers_csv
from simulations.report.page_parts import epsilon_plot, gain_plots
from tests.simulations.compare.test_comparison import ROWS, gained, result, summary

PRIVATE = {
    f"federated-dp-epsilon{e:g}/irene": [
        result(f"federated-dp-epsilon{e:g}/irene", 0, auroc, arm="federated-dp", epsilon=e)
    ]
    for e, auroc in ((8.0, 0.8), (1.0, 0.6), (2.0, 0.7))
}
SURE: dict[str, list[dict[str, Any]]] = {
    "local-north/irene": gained("north", 0.60, 4),
    "federated/irene": gained(None, 0.70, 4, "federated"),
}


def test_an_interval_wider_than_the_measure_does_not_stretch_the_axis() -> None:
    entries = [Entry(name="a", value=0.7, ci95=[-3, 9]), Entry(name="b", value=None)]
    drawn = forest(entries, reference=0.5, within=(0.0, 1.0))
    assert drawn is not None and [row.name for row in drawn.rows] == ["a"]
    assert [tick.text for tick in drawn.ticks] == ["0", "0.5", "1"]
    (row,) = drawn.rows
    assert row.low == 3 and row.high == 97 and drawn.reference == 50
    assert forest([Entry(name="b", value=None)], within=(0.0, 1.0)) is None


def test_auroc_rises_with_epsilon_and_ends_without_privacy() -> None:
    plain = {"federated/irene": [result("federated/irene", 0, 0.9, arm="federated")]}
    arms = summary(PRIVATE | plain)["arms"]
    chart = epsilon_plot(list(arms.items()))
    assert chart is not None
    assert [tick.text for tick in chart.x_ticks] == ["1", "2", "8", "∞"]
    (line,) = chart.lines
    heights = [mark.y for mark in line.marks]
    assert heights == sorted(heights, reverse=True) and len(heights) == 4
    one = {name: arms[name] for name in list(arms)[:1]}
    assert epsilon_plot(list(one.items())) is None


def test_beside_epsilon_stands_what_hospitals_reach_alone() -> None:
    own = {
        f"local-{site}/irene": [result(f"local-{site}/irene", 0, auroc, arm="local", site=site)]
        for site, auroc in (("north", 0.8), ("south", 0.7))
    }
    chart = epsilon_plot(list(summary(PRIVATE | own)["arms"].items()))
    assert chart is not None
    private, best, mean = chart.lines
    assert [best.name[:8], mean.name[:8]] == ["the best", "the mean"] and not best.marks
    heights = {
        line.name: {at.split(",")[1] for at in line.path[1:].split("L")} for line in (best, mean)
    }
    assert all(len(found) == 1 for found in heights.values())  # level
    assert f"{private.marks[2].y:.1f}" in heights[best.name]  # 0.8, as at epsilon 8
    assert chart.y_ticks[-1].text == "0.9"  # the intervals' end


def test_gains_are_drawn_with_their_chance() -> None:
    plot = gain_plots(summary(SURE))["federated/irene"]
    assert [row.name for row in plot.rows] == ["north", "mean"]
    assert plot.rows[0].note == ", p < 0.001"


def test_models_of_a_way_are_compared_with_its_first_one() -> None:
    told = summary(ROWS)["models"]["central"]
    assert told["first"] == "irene"
    assert told["less_first"]["other"]["mean"] == pytest.approx((0.03 + 0.02) / 2)
    assert "central, less irene" in render(summary(ROWS))


def test_the_split_is_shown_where_there_is_a_picture(tmp_path: Path) -> None:
    assert split_picture(tmp_path) is None
    (tmp_path / "seed-0").mkdir()
    (tmp_path / "seed-0" / "split.png").write_bytes(b"<svg/>")
    uri = split_picture(tmp_path)
    assert uri == "data:image/png;base64,PHN2Zy8+"
    assert f'<img src="{uri}"' in render(summary(ROWS), split=uri)


def test_every_number_has_a_line_and_no_name_is_a_formula() -> None:
    results = summary(SURE | {"central/=1+1": [result("central/=1+1", 0, 0.8)]})
    results["joining"] = {"=way/x": results["joining"]["federated/irene"]}
    lines = list(csv.DictReader(io.StringIO(numbers_csv(results))))
    assert list(lines[0]) == list(COLUMNS)
    found = {(line["row"], line["measure"], line["of"], line["seed"]): line for line in lines}
    assert float(found["federated/irene", "auroc", "all", ""]["value"]) == pytest.approx(0.715)
    assert float(found["federated/irene", "auroc", "all", "3"]["value"]) == pytest.approx(0.73)
    assert float(found["'=way/x", "gain", "site north", ""]["value"]) == pytest.approx(0.10)
    assert found["federated/irene", "auroc", "without text", ""]["low"]
    assert not [line for line in lines if line["row"].startswith("=")]
    assert {line["model"] for line in lines} == {"irene", "'=1+1", ""}
