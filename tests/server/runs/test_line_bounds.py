"""What an older server believed and wrote ends no run, no results and no page of today's."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
from flwr.serverapp import Grid
from hypothesis import given
from hypothesis import strategies as st

from server.app import execute
from server.runs.line_bounds import bounded, clean
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import DirectGrid
from tests.helpers.federations.hurry import hurry
from tests.helpers.made_up_site import made_up_site, study_of

TOLD = {"outcome": "updated", "reason": "", "weight": 100.0, "noise_multiplier": 1.5}
STUDY = study_of(
    {"rounds": 2, "round_deadline_s": 2.0},
    privacy={"noise_multiplier": 1.5, "delta": 1e-3},
    evaluation={"noise_multiplier": 1.0},
)
LIES: list[dict[str, Any]] = [
    {"sample_rate": 0.0},
    {"sample_rate": float("nan"), "weight": float("inf"), "norm": float("nan")},
    {"noise_multiplier": 1e200},
    {"noise_multiplier": -1.0, "epsilon": float("nan"), "epsilon_total": 1e300},
    {"rounds_charged": 10**13},
    {"rounds_charged": "many", "weight": None, "bytes_up": 10**400, "waited_s": float("inf")},
    {"outcome": "failed", "reason": "x\n" * 10**6, "seconds": float("nan")},
]


pytestmark = pytest.mark.usefixtures("hurried")


def nodes() -> Grid:
    sites = enumerate(("east", "north", "south"), 1)
    return cast(Grid, DirectGrid({n: made_up_site(STUDY, s, evaluates=True) for n, s in sites}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = RunFolder.create(tmp_path_factory.mktemp("runs") / "run", STUDY, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        execute(nodes(), folder, expected_sites=3, give_up=True)
    return folder


@pytest.mark.parametrize("lie", LIES)
def test_a_poisoned_file_ends_no_run(
    tmp_path: Path, finished: RunFolder, lie: dict[str, Any]
) -> None:
    shutil.copytree(finished.path, tmp_path / "run")
    folder = RunFolder(tmp_path / "run", STUDY, finished.info)
    clean_results = json.loads((folder.path / "results.json").read_text(encoding="utf-8"))
    lines = (folder.path / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0])
    first["sites"]["south"] |= lie
    first["late"] = [{**TOLD, **lie, "site": "south", "round": 1, "waited_s": 3.0}]
    first["evaluation"]["sites"]["south"] |= {"noise_multiplier": float("inf"), "epsilon": 1e200}
    first["evaluation"] |= {"auroc": float("nan"), "loss": float("inf"), "auroc_ci95": [0, "x"]}
    for path in (folder.checkpoint(2), folder.path / "results.json", folder.path / "report.html"):
        path.rename(path.with_name(f"gone-{path.name}"))
    (folder.path / "rounds.jsonl").write_text(json.dumps(first) + "\n", encoding="utf-8")
    info = json.loads((folder.path / "run.json").read_text(encoding="utf-8"))
    (folder.path / "run.json").write_text(
        json.dumps({**info, "seconds": float("nan"), "finished": None}), encoding="utf-8"
    )

    again = RunFolder.resume(folder.path)
    execute(nodes(), again, expected_sites=3, give_up=True)
    results = json.loads((folder.path / "results.json").read_text(encoding="utf-8"))
    for site in ("east", "north"):
        mine, theirs = (r["arms"]["federated-dp"] for r in (results, clean_results))
        assert mine["auroc"]["by_site"][site] == theirs["auroc"]["by_site"][site]
        assert mine["privacy"][site]["rdp"] >= theirs["privacy"][site]["rdp"] > 0
    assert (folder.path / "report.html").stat().st_size < 10**6


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
KEYS = ["outcome", "reason", "weight", "noise_multiplier", "sample_rate", "rounds_charged",
        "epsilon", "norm", "withheld", "labels"]  # fmt: skip
entries = st.dictionaries(st.sampled_from(KEYS), anything) | anything


@given(st.fixed_dictionaries(
    {"round": st.integers(1, 9), "sites": st.dictionaries(st.text(max_size=5), entries) | anything},
    optional={"late": st.lists(entries) | anything, "evaluation": anything},
))  # fmt: skip
def test_whatever_a_line_holds_it_can_be_used_and_cleaning_twice_is_cleaning_once(
    line: dict[str, Any],
) -> None:
    once = clean(line)
    assert clean(once) == once
    for entry in once["sites"].values():
        assert isinstance(entry["outcome"], str)
        if entry["outcome"] == "refused":
            assert "noise_multiplier" not in entry and "rounds_charged" not in entry
        for key in ("weight", "noise_multiplier", "sample_rate", "rounds_charged", "epsilon"):
            assert entry.get(key) is None or bounded(entry[key], 1e9)


def test_a_true_line_stays_as_it_is() -> None:
    line = {
        "round": 1, "seconds": 1.0, "bytes_up": 12, "late": [],
        "sites": {"north": {**TOLD, "sample_rate": 0.1, "epsilon": None, "rounds_charged": 1}},
        "evaluation": {"auroc": 0.7, "auroc_ci95": [0.6, 0.8], "auprc": None, "loss": 0.4,
                       "by_site": {"north": 0.7},
                       "sites": {"north": {"outcome": "evaluated", "reason": "",
                                           "noise_multiplier": 0.0, "withheld": ["x"]}}},
    }  # fmt: skip
    assert clean(line) == line
