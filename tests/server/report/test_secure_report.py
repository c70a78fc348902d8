"""What pages and status say of a run of secure sums."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from irene_model.study.settings import dump
from server.report.hope import hope_of
from server.report.report import write_report
from server.runs.disclosed import disclosure
from server.runs.line_bounds import clean
from server.watch.live_page import render_live
from server.watch.prometheus import exposition
from server.watch.run_progress import read_progress
from tests.helpers.federations.masked_sites import NAMES, secure_study

NOISE = {"epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    study = secure_study({"rounds": 1}, privacy=NOISE)
    (tmp_path / "study.yaml").write_text(dump(study))
    started = datetime.now(UTC).isoformat()
    info = {"arm": "federated-secure", "started": started, "finished": started, "run": "a"}
    (tmp_path / "run.json").write_text(json.dumps(info))
    updated = {"outcome": "updated", "reason": "", "epsilon": 3.2, "epsilon_alone": 9.1}
    attempts = [
        {"what": "train", "round": 1, "attempt": 1, "partners": list(NAMES), "outcome": "summed"}
    ]
    line = {
        "round": 1, "started": started, "seconds": 2.0, "secure": attempts, "bytes_up": 5,
        "sites": dict.fromkeys(NAMES, updated), "evaluation": None, "checkpoint": "x",
    }  # fmt: skip
    (tmp_path / "rounds.jsonl").write_text(json.dumps(line) + "\n")
    nothing = {"macro": 0.7, "ci95": None, "by_label": {}, "by_site": {}}
    spent = {"epsilon": 3.25, "epsilon_alone": 9.15, "colluding": 1, "rdp": 3.5, "prv": 3.25,
             "delta": 1e-3, "unit": "patient"}  # fmt: skip
    arm = {
        "model": "irene", "rounds": 1, "seconds": 2.0, "auroc": nothing, "auprc": nothing,
        "privacy": dict.fromkeys(NAMES, spent), "evaluation": {"sites": {}},
    }  # fmt: skip
    results = {
        "labels": list(study.labels), "sites": list(NAMES), "arms": {"federated-secure": arm}
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path


def test_the_report_has_both_epsilons_and_says_what_is_given_up(run: Path) -> None:
    page = write_report(run).read_text()
    assert "if all others collude" in page and "9.15" in page and "3.25" in page
    assert "nothing of one" in page and "Given up for it" in page
    assert "Sums of gradients, masked" in page
    of_hospitals = page.split("<h2>Each hospital</h2>")[1].split("</section>")[0]
    assert "AUROC" not in of_hospitals and "no value" not in of_hospitals  # nor empty axes
    assert "each of all sites, round 1: 3.250" in page


def test_the_live_page_and_prometheus_too(run: Path) -> None:
    progress = read_progress(run, now=datetime.now(UTC))
    assert progress.colluding == 1
    assert {(s.epsilon, s.epsilon_alone) for s in progress.sites} == {(3.25, 9.15)}
    page = render_live(progress, "")
    assert "If all others collude" in page and "9.15" in page
    assert 'irene_epsilon_alone{run="' in exposition([progress], {})


def test_a_run_without_secure_sums_says_nothing_of_them(run: Path) -> None:
    text = (run / "study.yaml").read_text()
    study = secure_study({"rounds": 1}, privacy=NOISE)
    plain = study.model_copy(
        update={"federation": study.federation.model_copy(update={"secure": None})}
    )
    (run / "study.yaml").write_text(dump(plain))
    assert text != (run / "study.yaml").read_text()
    page = write_report(run).read_text()
    assert "collude" not in page
    assert "collude" not in render_live(read_progress(run, now=datetime.now(UTC)), "")


def test_hope_counts_one_noise_of_all(run: Path) -> None:
    study = secure_study({"rounds": 1}, privacy={"noise_multiplier": 50.0, "delta": 1e-3})
    lines = [json.loads((run / "rounds.jsonl").read_text())]
    assert "near chance" in (hope_of(study, lines) or "")
    assert hope_of(study, []) is None


def test_what_left_is_the_sum_alone(run: Path) -> None:
    lines = [json.loads((run / "rounds.jsonl").read_text())]
    evaluated = {"outcome": "evaluated", "noise_multiplier": 3.0}
    left = disclosure(lines, dict.fromkeys(NAMES, evaluated))
    assert "of which the coordinator saw the sum alone" in left.covered[0]
    assert not any("declared number" in said or "columns" in said for said in left.outside)


def test_attempts_from_a_file_are_bounded_as_all_else() -> None:
    hostile = {
        "round": 1,
        "sites": {"a": {"outcome": "updated", "epsilon_alone": 1e300}},
        "secure": [
            {"attempt": 1, "partners": ["a\n"], "outcome": "summed\x1b", "blamed": {"b": 3}},
            {"attempt": "x", "partners": [], "outcome": "summed"},
            7,
        ],
    }
    line = clean(hostile)
    (attempt,) = line["secure"]
    assert (attempt["partners"], attempt["outcome"]) == (["a"], "summed")
    assert attempt["blamed"] == {"b": "3"} and "epsilon_alone" not in line["sites"]["a"]
    assert clean({**hostile, "secure": "x"})["secure"] == []
