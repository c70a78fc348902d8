"""The report tells the start's merit from the run's."""

import copy
import json
from pathlib import Path

from server.report.report import write_report
from tests.server.report.test_report import HOSTILE, STUDY, arm


def page(folder: Path, *, judged: bool) -> str:
    federated, start = arm(), copy.deepcopy(arm())
    start["auroc"]["macro"] = 0.7654
    start["auroc"]["by_label"] = {
        "pneumonia": {**start["auroc"]["by_label"]["pneumonia"], "value": 0.7111}
    }
    start["auroc"]["by_site"] = {"North": 0.7222}
    arms = {"federated-dp": federated, **({"start-only": start} if judged else {})}
    results = {
        "schema": 1, "labels": ["pneumonia", "effusion"], "sites": ["North", "South"], "arms": arms,
    }  # fmt: skip
    origin = {
        "name": HOSTILE, "sha256": "ab" * 32, "new_labels": ["effusion"],
        "trained": {
            "training_patients": 2800, "study": "lungs", "test": {"auroc": 0.8765, "patients": 964},
        },
    }  # fmt: skip
    folder.mkdir()
    (folder / "study.yaml").write_text(STUDY)
    (folder / "results.json").write_text(json.dumps(results))
    run = {"arm": "federated-dp", "start": {"irene": origin}}
    (folder / "run.json").write_text(json.dumps(run))
    return write_report(folder).read_text(encoding="utf-8")


def test_the_start_stands_beside_the_run_in_every_table(tmp_path: Path) -> None:
    text = page(tmp_path / "run", judged=True)
    assert text.count("Start alone") == 2
    assert "the start alone: 0.765" in text and "0.711" in text and "0.722" in text
    assert "ab" * 32 in text and "2800 public patients" in text and "0.876" in text
    assert HOSTILE not in text and "&lt;script&gt;" in text
    assert "it did not know effusion" in text


def test_a_start_that_nobody_judged_is_a_warning(tmp_path: Path) -> None:
    text = page(tmp_path / "run", judged=False)
    assert "Start alone" not in text and "was not measured" in text
