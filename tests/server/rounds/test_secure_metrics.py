"""Evaluations under secure sums: one sum, no site's own figures, and no run that ends for one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irene_model.errors import IreneError
from irene_model.exchange.protocol import Flat
from tests.helpers.federations.masked_sites import breaking
from tests.server.rounds.test_secure_rounds import Run, secure

pytestmark = pytest.mark.usefixtures("hurried")
DECLINED: dict[str, Any] = {
    "outcome": "declined",
    "code": "metrics",
    "reason": "metrics are turned off at this site",
    "arrays": {},
}


def answers(run: Run, name: str, split: str, answer: Any) -> None:
    def when(flat: Flat) -> bool:
        return flat.values.get("split") == split

    run.node(name).answer = breaking(run.sites[name], when, answer)


def test_a_site_that_declines_is_left_out_and_named(tmp_path: Path) -> None:
    run = secure(tmp_path, evaluate_every=1)
    answers(run, "east", "validation", lambda reply: reply.model_copy(update=DECLINED))
    first, second = (line["evaluation"] for line in run.lines())
    assert first["auroc"] > 0.7 and first["by_site"] == {}
    assert first["sites"]["east"]["outcome"] == "declined"
    assert first["sites"]["north"]["outcome"] == "evaluated"
    asked = [(each["outcome"], len(each["partners"])) for each in first["secure"]]
    assert asked == [("aborted", 4), ("summed", 3)] and first["secure"][0]["spared"] == ["east"]
    assert [len(each["partners"]) for each in second["secure"]] == [3]  # not asked a second time


def test_a_validation_without_a_sum_is_passed_over(tmp_path: Path) -> None:
    run = secure(tmp_path, minimum_sites=4, evaluate_every=1)
    answers(run, "east", "validation", 8)
    lines = run.lines()
    assert [line["evaluation"]["auroc"] for line in lines] == [None, None]
    north = lines[0]["evaluation"]["sites"]["north"]
    assert north["outcome"] == "discarded" and "another site" in north["reason"]


def test_the_test_at_the_end_is_tried_again(tmp_path: Path) -> None:
    run = secure(tmp_path, minimum_sites=4)
    answers(run, "east", "test", 8)
    with pytest.raises(IreneError, match=r"no sum of the sites' evaluations of round 2 \(.*east"):
        run.lines()
    run.node("east").answer = run.sites["east"].answer
    run.lines()
    tests = [each for each in run.loop()._accounts.attempts.all() if each["what"] == "test"]  # type: ignore[union-attr]
    assert [each["outcome"] for each in tests] == ["aborted", "summed"]


def test_counts_of_more_patients_than_there_are_are_no_metrics(tmp_path: Path) -> None:
    run = secure(tmp_path, evaluate_every=1)

    def shifted(reply: Any) -> Any:
        lied = reply.arrays["sum"] + np.uint32(2**29)
        return reply.model_copy(update={"arrays": {"sum": lied}})

    answers(run, "west", "validation", shifted)
    line = run.lines()[0]
    assert line["evaluation"]["auroc"] is None
    assert line["evaluation"]["secure"][0]["outcome"] == "refused"
    assert "a sum can't say which" in line["evaluation"]["secure"][0]["reason"]
