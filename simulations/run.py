"""One federated run on this machine: real server, real clients, Flower's simulation engine.

A simulated site is a folder like a real one and is read by the same client code; only the way in
which messages travel differs from the deployment (`simulations.engine`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from flwr.clientapp import ClientApp
from flwr.serverapp import Grid

from client.consent import read_mask_key
from client.site import Site
from irene_model.study import Study
from irene_model.weights import StartingPoint
from server.app import execute
from server.rounds import Looks, Observer
from server.runs import RunFolder
from simulations.engine import answer_as, run_engine
from simulations.hospitals import (
    Progress,
    Scenario,
    check_budgets,
    check_scenario,
    joined_sites,
    mask_key,
    with_members,
    write_hospitals,
    write_mask_keys,
)
from simulations.splits import picture_split

_LOOK_S = 0.001  # between two looks for replies: the engine's grid waits for them itself


def start_run(
    scenario: Scenario,
    out: Path,
    *,
    seed: int,
    start: StartingPoint | None = None,
    progress: Progress | None = None,
) -> RunFolder:
    """Write the hospitals of `scenario` and a run folder around them.

    First weights come from `start` and the scenario's own `start`, else from `seed`. `out` must be
    new or empty; the synthetic hospitals are under `out/hospitals`, joined ones stay where they
    are. A mistake in the scenario is a ConfigError before anything is written.
    """
    check_scenario(scenario)
    joined = joined_sites(scenario)
    check_budgets(list(joined.values()), scenario.study)
    folder = RunFolder.create(
        out,
        _with_roster(scenario, joined, seed),
        seed=seed,
        start=replace(start or StartingPoint(), irene=scenario.start_folder),
        reproducible_noise=True,
        synthetic=not scenario.join,
        parallel_sites=scenario.parallel_sites,
        masks=scenario.masks,
        site_files=[],
    )
    written = []
    if scenario.cohort is not None:
        written = write_hospitals(scenario, out / "hospitals", seed=seed, progress=progress)
        write_mask_keys(scenario.study, written, seed)
        picture_split(out / "hospitals", out, title=scenario.study.name)
    folder.update_info(
        own_models=scenario.own_models,
        site_files=[
            *(str(path.relative_to(out)) for path in written),
            *(str(path) for path in joined),
        ],
    )
    return folder


def _with_roster(scenario: Scenario, joined: Mapping[Path, Site], seed: int) -> Study:
    """The study with all sites in the roster of its secure sums, if it has these."""
    if scenario.study.federation.secure is None:
        return scenario.study
    cohort = scenario.cohort
    keys = {s.name: mask_key(s.name, seed) for s in (() if cohort is None else cohort.sites)}
    keys |= {s.site: read_mask_key(s.resolve(s.mask_key)) for s in joined.values()}
    return with_members(scenario.study, keys)


def simulate(
    folder: RunFolder,
    *,
    observe: Observer | None = None,
    sites: Sequence[Site] | None = None,
    ray_address: str | None = None,
    watched: Callable[[ClientApp], ClientApp] = lambda client: client,
) -> Path:
    """Run what is left of the run in `folder`; returns the path of its report.

    `sites` stand for the site files that the run names: in a comparison the same patients take
    part in many runs, and each run charges a ledger of its own. ray_address: HOST:PORT of a Ray
    cluster that is there; None trains on this machine. watched: what stands around the client, for
    measuring it.
    """
    if sites is None:
        # A joined site's path is absolute and stays as it is under `/`.
        files = [(folder.path / path).resolve() for path in folder.info["site_files"]]
        sites = [Site.read(path) for path in files]
    reports: list[Path] = []

    def serve(grid: Grid) -> None:
        reports.append(
            execute(
                grid,
                folder,
                expected_sites=len(sites),
                give_up=True,
                observe=observe,
                looks=Looks(least_s=_LOOK_S, most_s=_LOOK_S),
            )
        )

    run_engine(
        serve,
        partial(
            answer_as,
            seed=folder.info["seed"],
            masked=folder.info.get("masks", True),
            made_up=folder.info.get("synthetic") is True,
        ),
        sites,
        parallel=folder.info["parallel_sites"],
        ray_address=ray_address,
        watched=watched,
    )
    return reports[0]
