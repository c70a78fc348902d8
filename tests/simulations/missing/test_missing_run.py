"""The protocol in a folder: what is trained, tested, resumed and told."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from irene_model.errors import ConfigError
from simulations.missing.missing_results import summarise
from simulations.missing.missing_run import run_protocol
from simulations.missing.protocol import Protocol
from tests.helpers.federations.watched_comparison import SMALL
from tests.helpers.small_scenario import small_scenario

PROTOCOL = Protocol(
    models=("irene",), train_rates=(0.0, 0.5), test_rates=(0.0, 1.0), ways=("random",)
)
SHORT = (*SMALL, "federation.rounds=1", "cohort.lacks=[image]")


def go(tmp_path: Path, out: Path, *settings: str) -> tuple[dict[str, Any], list[str]]:
    trained: list[str] = []
    summary = run_protocol(
        small_scenario(tmp_path / "s", *SHORT, *settings),
        PROTOCOL,
        out,
        drawn=lambda done, total: None,
        told=lambda training, result, done, total: trained.append(training.name),
    )
    return summary, trained


def test_all_of_it_once_and_then_only_what_was_lost(tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary, trained = go(tmp_path, out)
    lacks = [f"{name}-0.5-random" for name in ("text", "labs", "demographics")]
    assert trained == ["whole", *lacks, "alone-text", "alone-labs", "alone-demographics"]
    rows = {(row["trained"], row["tested"]): row for row in summary["rows"]}
    # Without text at all it sees what `only labs + demographics` sees.
    gone, kept = (
        rows["all", "text 100 % missing at random"],
        rows["all", "only labs + demographics"],
    )
    assert gone["auroc"] == pytest.approx(kept["auroc"]) and gone["ci95"] is not None
    assert ("labs 50 % missing at random", "labs 100 % missing at random") in rows
    assert rows["text alone", "all"]["seeds"] == 1
    lost = out / "seed-0" / "missing" / "irene" / "alone-labs" / "result.json"
    before = json.loads(lost.read_text())
    lost.unlink()
    again, trained = go(tmp_path, out)
    assert trained == ["alone-labs"] and again == summary
    assert json.loads(lost.read_text())["tests"] == before["tests"]
    lines = list(csv.DictReader((out / "missing.csv").read_text().splitlines()))
    assert len(lines) == len(summary["rows"]) == len(rows)
    page = (out / "missing.html").read_text()
    assert "text 100 % missing at random" in page and "one modality" in page
    with pytest.raises(ConfigError, match="was begun with another scenario"):
        go(tmp_path, out, "training.learning_rate=0.5")


def test_seeds_are_put_together() -> None:
    results = [
        {
            "model": "irene", "alone": None, "modality": None,
            "tests": [{"modality": "text", "rate": 0.25, "way": "pattern", "auroc": v, "se": 0.01}],
        }
        for v in (0.7, 0.8)
    ]  # fmt: skip
    (row,) = summarise(results, study="s")["rows"]
    assert row["tested"] == "text 25 % missing by pattern" and row["trained"] == "all"
    assert row["auroc"] == pytest.approx(0.75) and row["seeds"] == 2
    assert row["ci95"] == [pytest.approx(0.75 - 12.706 * 0.05, abs=1e-3), 1.0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"train_rates": (1.5,)}, "--train-rates: give shares from 0 to 1"),
        ({"test_rates": ()}, "--test-rates: give shares"),
        ({"test_rates": (0.5, 0.5)}, "--test-rates: a rate is named twice"),
        ({"test_rates": (float("nan"),)}, "--test-rates: give shares"),
        (
            {"ways": ("sometimes",)},
            "--ways: there is no way 'sometimes'; there are random, pattern",
        ),
    ],
)
def test_what_is_no_protocol_is_refused(facts: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        Protocol(**facts)
    assert said in str(error.value)
