"""A run whose study says so judges its first weights before round 1, also when it is resumed."""

import json
from pathlib import Path

import pytest

from irene_model.privacy.accountants import Mechanism, epsilons
from irene_model.study.study import Study
from server.report.report import write_report
from server.rounds.round_loop import RoundLoop
from server.runs.accounting import spending
from server.runs.disclosed import disclosure
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import Node, exchange_with
from tests.helpers.made_up_site import made_up_site, study_of


def loop(folder: RunFolder, nodes: dict[int, Node]) -> RoundLoop:
    return RoundLoop(exchange=exchange_with(nodes), folder=folder, expected_sites=2, give_up=True)


def nodes_of(study: Study) -> dict[int, Node]:
    return {
        n: made_up_site(study, site, evaluates=True) for n, site in enumerate(("east", "north"), 1)
    }


def with_start(study: Study) -> Study:
    evaluation = study.evaluation.model_copy(update={"start": True})
    return study.model_copy(update={"evaluation": evaluation})


def test_the_start_is_asked_for_first_and_stands_in_the_results(tmp_path: Path) -> None:
    study = with_start(study_of({}))
    nodes = nodes_of(study)
    folder = RunFolder.create(tmp_path / "run", study, seed=1)
    results = loop(folder, nodes).run()
    asked = [what for what in nodes[1].asked if what != "hello"]
    assert asked[0].startswith("evaluate") and asked[1] == "train 1"
    assert list(results["arms"]) == ["federated", "start-only"]
    start = results["arms"]["start-only"]
    assert start["rounds"] == 0 and set(start["evaluation"]["sites"]) == {"east", "north"}
    again = nodes_of(study)
    resumed = RunFolder.resume(folder.path)
    assert loop(resumed, again).run()["arms"]["start-only"] == start
    assert sum(what.startswith("evaluate") for what in again[1].asked) == 1  # the end's alone
    folder.write_results(results)
    page = write_report(folder.path).read_text(encoding="utf-8")
    assert "Start alone" in page and "start-only" in page


def test_a_study_that_does_not_say_so_has_no_such_arm(tmp_path: Path) -> None:
    study = study_of({})
    nodes = nodes_of(study)
    folder = RunFolder.create(tmp_path / "run", study, seed=1)
    assert list(loop(folder, nodes).run()["arms"]) == ["federated"]
    assert "start_only" not in json.loads((folder.path / "run.json").read_text())


def test_the_server_counts_and_discloses_it() -> None:
    entry = {"outcome": "evaluated", "reason": "", "noise_multiplier": 0.5, "withheld": []}
    told = {"outcome": "updated", "noise_multiplier": 50.0, "sample_rate": 0.1, "rounds_charged": 1}
    lines = [{"round": 1, "sites": {"north": told}, "evaluation": None}]
    asked = study_of({}, evaluation={"noise_multiplier": 0.5, "start": True})
    both = spending(lines, {"north": entry}, asked, start={"north": entry})["north"]
    mechanism = Mechanism(noise_multiplier=0.5, sample_rate=1.0, steps=2)
    assert both["epsilon"] == pytest.approx(
        epsilons([mechanism], delta=asked.privacy.delta).smallest
    )
    lost = {"north": {"outcome": "missing", "reason": "r"}}
    unheard = spending(lines, {"north": entry}, asked, start=lost)["north"]
    assert unheard["epsilon"] == both["epsilon"]  # it may have been charged
    (sentence,) = disclosure([], {"north": entry}, {"north": entry}).covered
    assert "test patients" in sentence and "2 times" in sentence
