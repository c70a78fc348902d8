"""A comparison of real folders alone, on the files of a real hospital where they are at hand.

COVID-19 Image Repository, Institute for Diagnostic and Interventional Radiology, Hannover Medical
School, DOI 10.6084/m9.figshare.12275009, CC BY 3.0. The files are not part of this project.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulations.compare.comparison_run import compare
from simulations.compare.trial_grid import grid
from simulations.hospitals.scenario import Scenario
from tests.helpers.federations.run_here import without_engine
from tests.helpers.hospital_folder import SMALL
from tests.simulations.compare.test_comparison_run import Watching
from tests.simulations.test_hannover import DATA, EXAMPLE, needs_data

TINY: dict[str, Any] = {
    "image": {"size": 16, "patch": 8},
    "text": {"max_tokens": 4, "width": 8},
    "model": SMALL,
    "federation": {"rounds": 2, "local_steps": 2, "minimum_sites": 2, "round_deadline_s": 600},
}


def two_copies(folder: Path) -> Path:
    """A scenario of two hospitals that have every other patient each; nothing synthetic."""
    with (DATA / "data.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    patients = sorted({row["patient_id"] for row in rows})
    for start, name in enumerate(("even", "odd")):
        own = set(patients[start::2])
        (folder / name).mkdir()
        with (folder / name / "data.csv").open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(row for row in rows if row["patient_id"] in own)
        site = yaml.safe_load((EXAMPLE / "site.yaml").read_text(encoding="utf-8"))
        site["site"] = name
        # Half of the hospital has one day of death, a 9, which alone might be a code for unknown.
        site["labels"]["death"]["positive"] = ["0", "9.0"]
        site["columns"]["image"]["pattern"] = f"{DATA}/png/{{}}.png"
        path = folder / name / "site.yaml"
        path.write_text(yaml.safe_dump(site, allow_unicode=True), encoding="utf-8")
    study = yaml.safe_load((EXAMPLE / "study.yaml").read_text(encoding="utf-8")) | TINY
    document = {"study": study, "join": ["even/site.yaml", "odd/site.yaml"], "folds": 5}
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return path


@needs_data
@pytest.mark.slow
def test_two_real_folders_are_compared_fold_by_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_engine(monkeypatch)
    scenario = Scenario.read(two_copies(tmp_path))
    assert {trial.seed for trial in grid(scenario)} == set(range(5))
    out = tmp_path / "out"

    def run(arms: list[str], seeds: int) -> dict[str, Any]:
        trials = grid(scenario, arms=arms, seeds=seeds)
        return compare(scenario, trials, out, parallel=1, observer=Watching())

    first = run(["local", "local-dp", "federated-dp", "personal"], 1)
    assert set(first["arms"]) == {
        "federated-dp/irene",
        *(f"{arm}-{s}/irene" for arm in ("local", "local-dp", "personal") for s in ("even", "odd")),
    }
    gain = first["arms"]["federated-dp/irene"]["gain"]
    assert set(gain) == {"even", "odd"} and all(each["seeds"] == 1 for each in gain.values())
    in_run = json.loads((out / "seed-0/federated-dp/irene/run/run.json").read_text())
    assert in_run["synthetic"] is False

    results = run(["central-dp"], 5)
    central = results["arms"]["central-dp/irene"]
    assert central["auroc"]["by_label"]["ICU"]["n"] == 71  # five folds test each patient once
    low, high = central["auroc"]["ci95"]
    assert low <= central["auroc"]["macro"] <= high
    spent = {site: about["epsilon"] for site, about in central["privacy"].items()}
    assert set(spent) == {"even", "odd"} and 7 < spent["even"] == spent["odd"] <= 8
    assert results["over"] == "patients"
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Real patients." in page and "made up" not in page
    assert not list(tmp_path.glob("even/.irene"))  # no cache, no ledger, no log in the folder
