"""The page of missing modalities: its curves, and nothing of it sticks out."""

from pathlib import Path
from typing import Any

import pytest

from simulations.missing.missing_results import curves, summarise, write_results
from tests.helpers.chromium import PROGRAM, chromium

MODALITIES = ("image", "text", "a_panel_with_a_name_as_long_as_any")


def under(way: str | None, modality: str | None, rate: float, auroc: float) -> dict[str, Any]:
    return {"modality": modality, "way": way, "rate": rate, "auroc": auroc, "se": 0.01}


def trained(model: str, modality: str | None, auroc: float) -> dict[str, Any]:
    tests = [under(None, None, 0.0, auroc)] + [
        under(way, each, rate, auroc - rate / 5)
        for each in ([modality] if modality else MODALITIES)
        for way in ("random", "pattern")
        for rate in (0.5, 1.0)
    ]
    about = {"modality": modality, "rate": 0.5, "way": "random" if modality else None}
    return {"model": model, "alone": None, **about, "tests": tests}


def summary() -> dict[str, Any]:
    results = [
        trained(model, modality, 0.8)
        for model in ("irene", "late_mean")
        for modality in (None, *MODALITIES)
    ]
    return summarise(results, study="study")


def test_a_curve_falls_with_the_share_and_begins_with_all() -> None:
    drawn = curves(summary())
    assert len(drawn) == 6
    chart = drawn["text missing at random"]
    assert [line.name for line in chart.lines] == [
        "irene, all",
        "irene, text 50 % missing at random",
        "late_mean, all",
        "late_mean, text 50 % missing at random",
    ]
    for line in chart.lines:
        heights = [mark.y for mark in line.marks]
        assert len(heights) == 3 and heights == sorted(heights)
        assert all(mark.whisker for mark in line.marks)


@pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
def test_nothing_sticks_out(tmp_path: Path) -> None:
    write_results(summary(), tmp_path)
    root = "document.documentElement"
    with chromium(tmp_path / "profile") as page:
        for width, medium in ((1100, ""), (390, ""), (700, "print")):
            page.ask("Emulation.setEmulatedMedia", media=medium)
            page.open((tmp_path / "missing.html").as_uri(), width=width, height=900)
            assert page.value(f"{root}.scrollWidth <= {root}.clientWidth")
            assert page.value("document.querySelectorAll('figure svg .curve').length") >= 24
        assert page.complaints == []
