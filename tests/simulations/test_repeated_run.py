"""Equal seeds give equal runs, whoever computes them: weights and results.json, bit by bit."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from server.runs.run_folder import RunFolder
from simulations.hospitals.scenario import Scenario
from simulations.run import simulate, start_run
from tests.helpers.federations.run_here import nodes_of, run_here

pytestmark = pytest.mark.slow
SMOKE = Path(__file__).parents[2] / "simulations/scenarios/smoke.yaml"
TIMES = {"seconds"}  # of results.json: all else must be the same


def timeless(value: Any) -> Any:
    """`value` without what a clock said."""
    if isinstance(value, dict):
        return {key: timeless(each) for key, each in value.items() if key not in TIMES}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def outcome(folder: RunFolder) -> tuple[Any, dict[str, bytes]]:
    """results.json without times, and each round's weights."""
    results = json.loads((folder.path / "results.json").read_text(encoding="utf-8"))
    files = sorted(folder.path.glob("checkpoints/*/model.safetensors"))
    assert len(files) == 3
    return timeless(results), {path.parent.name: path.read_bytes() for path in files}


def test_an_equal_seed_gives_equal_bits_whatever_computes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four sites in one process of the engine, to which Ray would lend all cores; and all in this
    process, in one thread, the sites taken in the opposite order.

    Without noise, so that no difference is hidden in it, and with batches that torch splits over
    threads where it has several.
    """
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)  # it would hold Ray to one thread
    settings = [
        "privacy.noise_multiplier=0",
        "federation.rounds=2",
        "cohort.patients=400",
        "cohort.sites=[{name: north, share: 2}, {name: south, lacks: [text]}, "
        "{name: east}, {name: west}]",
        "parallel_sites=1",
    ]
    begun = start_run(Scenario.read(SMOKE, settings), tmp_path / "begun", seed=3)
    shutil.copytree(begun.path, tmp_path / "here")
    simulate(begun)
    here, threads = RunFolder.resume(tmp_path / "here"), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_here(here, dict(reversed(nodes_of(here).items())))
    finally:
        torch.set_num_threads(threads)
    (results, weights), (others, other_weights) = outcome(begun), outcome(here)
    assert weights == other_weights
    assert results == others
