"""A comparison's table in a terminal: what all rows share is said once."""

from typing import Any

import pytest
from rich.console import Console

from simulations.result_tables import ranking_table


def row(auroc: float, *, seeds: int = 2) -> dict[str, Any]:
    gap = {"mean": auroc - 0.8, "ci95": [auroc - 0.81, auroc - 0.79]}
    return {
        "auroc": {"macro": auroc, "ci95": [auroc - 0.01, auroc + 0.01]},
        "difference": {"auroc": gap},
        "seeds": [{}] * seeds,
    }


def printed(arms: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> str:
    results = {"arms": arms, "over": "seeds", "reference": "federated/irene"}
    Console(width=80).print(ranking_table(results))
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("names", "heading", "shown"),
    [
        (["federated/irene", "federated/irene_unidirectional"], "federated/model", "irene_uni"),
        (["federated/irene", "local-north/irene"], "arm/irene", "local-north"),
        (["federated/irene", "local/late_mean"], "arm/model", "local/late_mean"),
    ],
)
def test_what_all_rows_share_stands_in_the_heading(
    names: list[str], heading: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed({name: row(0.8 + place / 100) for place, name in enumerate(names)}, capsys)
    assert f" {heading} " in text and f"│ {shown}" in text
    assert "Mean over 2 seeds" in text and "0.810 (0.800 to 0.820)" in text
    assert "+0.010 (+0.000 to +0.020)" in text and "seeds ┃" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_seeds_have_a_column_where_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed({"a/irene": row(0.8, seeds=1), "b/irene": row(0.9, seeds=11)}, capsys)
    assert "Mean over seeds;" in text and "seeds ┃" in text
    assert "Mean over 1 seed;" in printed({"a/irene": row(0.8, seeds=1)}, capsys)
