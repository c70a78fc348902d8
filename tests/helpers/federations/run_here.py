"""A simulated run in this process: real hospitals, clients and server, without Flower's engine.

The engine starts Ray and a process for each parallel site, which takes many times as long as what a
small run does; `tests/simulations/test_run.py` has runs on it, too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from flwr.serverapp import Grid

from client.participant import Participant
from client.site.site import Site
from server.app import execute
from server.rounds import Looks, Observer
from server.runs.run_folder import RunFolder
from tests.helpers.direct_grid import DirectGrid, Node, hospital_node


def nodes_of(folder: RunFolder, sites: Sequence[Site] | None = None) -> dict[str, Node]:
    """The run's sites by name, each as a node that runs the real client; `sites` stand for them."""
    if sites is None:
        sites = [Site.read((folder.path / path).resolve()) for path in folder.info["site_files"]]
    seed = folder.info["seed"]
    return {
        site.site: hospital_node(Participant(site=site, simulation_seed=seed)) for site in sites
    }


def run_here(
    folder: RunFolder, nodes: dict[str, Node] | None = None, *, observe: Observer | None = None
) -> Path:
    """As `simulations.run.simulate`; `nodes` stand for the run's own."""
    grid = DirectGrid(dict(enumerate((nodes or nodes_of(folder)).values())))
    return execute(
        cast(Grid, grid), folder, expected_sites=len(grid.nodes), give_up=True, observe=observe,
        looks=Looks(least_s=0.01, most_s=0.01),
    )  # fmt: skip


def without_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison's federations run here; `test_comparison_command.py` has some on the engine."""

    def here(folder: RunFolder, *, sites: Sequence[Site], ray_address: None) -> Path:
        return run_here(folder, nodes_of(folder, sites))

    monkeypatch.setattr("simulations.run.simulate", here)
