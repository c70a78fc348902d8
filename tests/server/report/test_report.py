"""The report holds the run's numbers, needs nothing from outside and escapes what it is given."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irene_model.errors import CheckpointError, ConfigError
from irene_model.study.study import Study
from server.report.plots import STYLES, Point, Series, line_chart, ticks
from server.report.report import write_report

HOSTILE = '<script>alert("x")</script>'
STUDY = """
name: Lungs, hearts
labels: [pneumonia, effusion]
image: {size: 16, patch: 8}
federation: {rounds: 3, local_steps: 2}
privacy: {epsilon: 8}
"""


def estimate(value: float) -> dict[str, Any]:
    return {"value": value, "ci95": [value - 0.02, value + 0.03], "positives": 40, "n": 200}


def unjudged() -> dict[str, Any]:
    return {"value": None, "ci95": None, "positives": 0, "n": 200, "note": "no positives"}


def metric(value: float, *, site_values: dict[str, float | None]) -> dict[str, Any]:
    return {
        "macro": value,
        "ci95": [value - 0.02, value + 0.03],
        "by_label": {"pneumonia": estimate(value), "effusion": unjudged()},
        "by_site": site_values,
    }


def arm(*, epsilon: float | None = 4.127) -> dict[str, Any]:
    return {
        "model": "irene",
        "rounds": 2,
        "seconds": 75.0,
        "auroc": metric(0.8123, site_values={"North": 0.8344, "South": None}),
        "auprc": metric(0.4567, site_values={"North": 0.4, "South": None}),
        "calibration": {"brier": 0.1234, "ece": 0.0456},
        "privacy": {
            site: {
                "epsilon": epsilon,
                "rdp": epsilon and epsilon + 0.5,
                "prv": epsilon,
                "delta": 1e-5,
                "unit": "patient",
            }
            for site in ("North", "South")
        },
    }


def part(outcome: str, reason: str = "", epsilon: float | None = 2.0) -> dict[str, Any]:
    return {
        "outcome": outcome,
        "reason": reason,
        "seconds": 3.0,
        "epsilon": epsilon,
        "epsilon_total": None if epsilon is None else epsilon + 5.55,
        "bytes_up": 1_500_000,
    }


def round_line(number: int, sites: dict[str, Any], auroc: float | None) -> dict[str, Any]:
    evaluation = {
        "loss": 0.5, "auroc": auroc, "auroc_ci95": auroc and [auroc - 0.1, auroc + 0.1],
        "auprc": auroc, "by_site": {"North": auroc, "South": None},
    }  # fmt: skip
    return {
        "round": number, "started": "2026-03-01T09:30:00+00:00", "seconds": 7.0, "sites": sites,
        "bytes_down": 1, "bytes_up": 3_000_000, "update_norm": 0.25,
        "checkpoint": f"checkpoints/round-{number:04d}", "evaluation": evaluation,
    }  # fmt: skip


class Folder:
    """A run folder whose documents a test may change before it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.results: dict[str, Any] = {
            "schema": 1,
            "labels": ["pneumonia", "effusion"],
            "sites": ["North", "South"],
            "arms": {"federated": arm()},
        }
        self.run: dict[str, Any] = {
            "schema": 1, "study": "Lungs, hearts", "fingerprint": "ab" * 32, "seed": 7,
            "arm": "federated", "reproducible_noise": True, "synthetic": True,
            "versions": {"torch": "2.13.0"}, "started": "2026-03-01T09:30:00+00:00",
            "finished": "2026-03-01T10:30:00+00:00", "sites": ["North", "South"],
            "outside_guarantee": ["score histograms of the evaluation"],
        }  # fmt: skip
        self.rounds = [
            round_line(1, {"North": part("updated"), "South": part("updated")}, 0.6),
            round_line(
                2,
                {"North": part("updated", epsilon=4.127), "South": part("missing", "too late")},
                0.8123,
            ),
        ]

    def report(self) -> str:
        (self.path / "study.yaml").write_text(STUDY)
        (self.path / "results.json").write_text(json.dumps(self.results))
        (self.path / "run.json").write_text(json.dumps(self.run))
        lines = "".join(json.dumps(line) + "\n" for line in self.rounds)
        (self.path / "rounds.jsonl").write_text(lines)
        report = write_report(self.path)
        assert report == self.path / "report.html"
        return report.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_what_joining_gains_has_a_row_for_each_hospital(folder: Folder) -> None:
    assert "Is it worth joining?" not in folder.report()
    gain = {"mean": 0.0371, "ci95": [-0.0042, 0.0785], "seeds": 1}
    none = {"mean": None, "ci95": None, "seeds": 0}
    keys = "own", "own_everywhere", "federation", "fine_tuned", "gain_at_home"
    folder.results["own_models"] = {
        "North": dict(zip(keys, (0.71, 0.693, 0.702, 0.747, gain), strict=True)),
        "<b>South": dict(zip(keys, (None, None, 0.66, None, none), strict=True)),
    }
    page = folder.report()
    shown = ["0.710", "0.693", "0.747", "+0.037", "&lt;b&gt;South"]
    for text in ("Is it worth joining?", "-0.004 to +0.079", "no value", *shown):
        assert text in page


def test_holds_the_numbers_of_the_run(folder: Folder) -> None:
    page = folder.report()
    assert page.startswith("<!doctype html>")
    assert "Lungs, hearts" in page
    interval = "0.792\N{EN DASH}0.842"
    for number in ("0.812", interval, "0.457", "0.834", "0.123", "0.046", "40 of 200"):
        assert number in page, number
    for privacy in ("4.13", "4.63", "9.68", "1e-05"):  # this run's, by RDP, the ledger's, delta
        assert privacy in page, privacy
    assert "2026-03-01 09:30 UTC" in page
    assert "checkpoints/round-0002" in page and "torch 2.13.0" in page
    assert "Synthetic data" in page
    assert "score histograms of the evaluation" in page
    assert "○ missing" in page and "too late" in page
    assert "3 MB" in page


def test_is_self_contained(folder: Folder) -> None:
    page = folder.report()
    assert not re.search(r"(src|href)\s*=", page)
    assert not re.search(r"https?://|url\(|@import|<script|<link", page)


def test_escapes_what_hospitals_and_files_say(folder: Folder) -> None:
    text = json.dumps([folder.results, folder.run, folder.rounds])
    for name in ("North", "pneumonia", "too late", "score histograms of the evaluation"):
        text = text.replace(name, HOSTILE.replace('"', '\\"'))
    folder.results, folder.run, folder.rounds = json.loads(text)
    page = folder.report()
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_missing_values_say_so(folder: Folder) -> None:
    page = folder.report()
    assert "no positives: can't be judged" in page
    assert "The means cover 1 of 2 findings" in page
    assert not re.search(r"\bNone\b|\bnan\b", page)


def test_training_without_privacy_is_plain_to_see(folder: Folder) -> None:
    folder.results["arms"]["federated"] = arm(epsilon=None)
    for line in folder.rounds:
        line["sites"] = {site: part("updated", epsilon=None) for site in line["sites"]}
    page = folder.report()
    assert page.count("trained without privacy") == 2
    assert "Nothing: this run trained without noise" in page
    assert "without any guarantee</strong>, from North, South" in page
    assert "Privacy spent by each site" not in page


def test_how_metrics_came_is_told_and_what_covers_them(folder: Folder) -> None:
    folder.results["arms"]["federated"]["evaluation"] = {
        "sites": {
            "North": {"outcome": "evaluated", "reason": "", "noise_multiplier": 0.638,
                      "withheld": [], "epsilon": 4.1, "epsilon_total": 99.5},
            "South": {"outcome": "declined", "reason": "metrics are turned off at this site"},
        }
    }  # fmt: skip
    folder.results["arms"]["federated"]["calibration"] |= {"brier_ci95": [0.111, 0.134]}
    folder.run["inside_guarantee"] = ["score histograms of test patients, once, from North"]
    page = folder.report()
    assert "noised, multiplier 0.638" in page
    assert "declined: metrics are turned off at this site" in page
    assert "<li>score histograms of test patients, once, from North</li>" in page
    assert "99.50" in page and "0.111\N{EN DASH}0.134" in page
    folder.results["arms"]["federated"]["evaluation"]["sites"]["South"] = {
        "outcome": "evaluated", "reason": "", "noise_multiplier": 0.0, "withheld": ["effusion"],
    }  # fmt: skip
    assert "exact counts; too few patients, withheld: effusion" in folder.report()


def test_one_unguarded_site_spoils_the_headline(folder: Folder) -> None:
    folder.results["arms"]["federated"]["privacy"]["South"]["epsilon"] = None
    assert "no guarantee at 1 of 2 hospitals" in folder.report()


def test_an_evaluation_without_any_value_renders(folder: Folder) -> None:
    nothing = {"macro": None, "ci95": None, "by_label": {}, "by_site": {}}
    folder.results["arms"]["federated"] |= {
        "auroc": nothing, "auprc": nothing, "calibration": {"brier": None, "ece": None},
        "privacy": {},
    }  # fmt: skip
    for line in folder.rounds:
        line["evaluation"] = None
    page = folder.report()
    assert "not evaluated" in page and "None" not in page


def test_several_arms_are_compared_and_a_run_without_rounds_renders(folder: Folder) -> None:
    central = arm() | {"rounds": 0, "privacy": {}}
    central["auroc"] = metric(0.9012, site_values={})
    folder.results["arms"]["central"] = central
    page = folder.report()
    assert "Ways of training compared" in page and "0.901" in page

    folder.run["arm"] = "central"
    folder.rounds = []
    page = folder.report()
    assert "Over the rounds" not in page
    assert "records stayed" not in page  # central training moves them


def test_reproducible_noise_and_a_changed_study_are_flagged(folder: Folder) -> None:
    page = folder.report()
    assert "reproducible from the seed" in page
    assert "has another fingerprint" in page
    folder.run |= {"reproducible_noise": False}
    folder.run["fingerprint"] = Study.read(folder.path / "study.yaml").fingerprint
    page = folder.report()
    assert "from a secure source" in page and "has another fingerprint" not in page


@pytest.mark.parametrize("name", ["results.json", "run.json"])
def test_a_missing_or_broken_file_is_named(folder: Folder, name: str) -> None:
    folder.report()
    (folder.path / name).write_text("{")
    with pytest.raises(CheckpointError, match=f"{name}: is no valid JSON object"):
        write_report(folder.path)
    (folder.path / name).unlink()
    with pytest.raises(CheckpointError, match=f"{name}: no such file"):
        write_report(folder.path)


def test_a_torn_line_and_a_missing_study_are_named(folder: Folder) -> None:
    folder.report()
    (folder.path / "rounds.jsonl").write_text(json.dumps(folder.rounds[0]) + "\n{")
    with pytest.raises(CheckpointError, match=r"rounds.jsonl, line 2"):
        write_report(folder.path)
    (folder.path / "study.yaml").unlink()
    with pytest.raises(ConfigError, match=r"study.yaml: no such file"):
        write_report(folder.path)


@given(low=st.floats(-1e3, 1e3), span=st.floats(1e-3, 1e3))
def test_ticks_span_the_values(low: float, span: float) -> None:
    found = ticks(low, low + span)
    step = found[1] - found[0]
    assert 2 <= len(found) <= 8
    assert found[0] <= low + 1e-6 * step and found[-1] >= low + span - 1e-6 * step


def test_a_chart_keeps_to_its_area_and_to_the_styles_it_has() -> None:
    points = [Point(x=x, y=x / 10, low=x / 10 - 0.1, high=x / 10 + 0.1) for x in range(1, 8)]
    chart = line_chart(
        [Series(name=f"site {i}", points=points) for i in range(STYLES + 3)],
        x_label="round", y_label="AUROC",
    )  # fmt: skip
    assert chart is not None and len(chart.lines) == STYLES
    for x, y in re.findall(r"([\d.-]+),([\d.-]+)", chart.lines[0].path + chart.lines[0].band):
        assert chart.left <= float(x) <= chart.right
        assert chart.top - 0.1 <= float(y) <= chart.bottom + 0.1
    assert line_chart([Series(name="empty", points=[])], x_label="x", y_label="y") is None
    single = line_chart([Series(name="one", points=points[:1])], x_label="x", y_label="y")
    assert single is not None and single.lines[0].band == ""
