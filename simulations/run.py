"""One federated run on this machine: real server, real clients, in processes that stay.

A simulated site is a folder like a real one and is read by the same client code; only the way in
which messages travel differs from the deployment (`simulations.engine`).
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.records import SiteDataset, open_dataset
from client.site import Site
from irene_model.journal import open_private, private_folder
from irene_model.study import Study
from irene_model.weights import StartingPoint
from server.app import execute
from server.rounds import Observer
from server.runs import RunFolder
from simulations.engine import sites_on_ray
from simulations.hospitals import (
    Progress,
    Scenario,
    check_budgets,
    check_scenario,
    joined_sites,
    write_hospitals,
)

_LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


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
        scenario.study,
        seed=seed,
        start=replace(start or StartingPoint(), irene=scenario.start_folder),
        reproducible_noise=True,
        synthetic=not scenario.join,
        parallel_sites=scenario.parallel_sites,
        site_files=[],
    )
    written = []
    if scenario.cohort is not None:
        written = write_hospitals(scenario, out / "hospitals", seed=seed, progress=progress)
    folder.update_info(
        own_models=scenario.own_models,
        site_files=[
            *(str(path.relative_to(out)) for path in written),
            *(str(path) for path in joined),
        ],
    )
    return folder


def simulate(
    folder: RunFolder, *, observe: Observer | None = None, sites: Sequence[Site] | None = None
) -> Path:
    """Run what is left of the run in `folder`; returns the path of its report.

    `sites` stand for the site files that the run names: in a comparison the same patients take
    part in many runs, and each run charges a ledger of its own.
    """
    if sites is None:
        # A joined site's path is absolute and stays as it is under `/`.
        files = [(folder.path / path).resolve() for path in folder.info["site_files"]]
        sites = [Site.read(path) for path in files]
    client = client_app(sites, seed=folder.info["seed"])
    parallel = min(folder.info["parallel_sites"], len(sites))
    with sites_on_ray(client, count=len(sites), parallel=parallel) as grid:
        return execute(
            grid, folder, expected_sites=len(sites), give_up=True, observe=observe, poll_s=0.0
        )


def client_app(sites: Sequence[Site], *, seed: int) -> ClientApp:
    """The installed client, with the site found by the node's partition."""
    app, kept = ClientApp(), KeptDatasets()

    def respond(message: Message, context: Context) -> Message:
        from client.app import answer
        from client.participant import Participant

        site = sites[int(context.node_config["partition-id"])]
        _log_to(site)
        return answer(message, Participant(site=site, simulation_seed=seed, dataset=kept.open))

    app.query()(respond)
    app.train()(respond)
    app.evaluate()(respond)
    return app


class KeptDatasets:
    """Data sets that one process has opened, for a run in which no hospital's file changes.

    A deployed client looks at its files for every message; here they are a run's own.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Path, str, str], SiteDataset] = {}

    def open(self, site: Site, study: Study) -> SiteDataset:
        """The data set, as it was when the process first opened it."""
        key = (site.folder, site.model_dump_json(), study.fingerprint)
        if key not in self._kept:
            self._kept[key] = open_dataset(site, study)
        return self._kept[key]


def _log_to(site: Site) -> None:
    """A simulated client's log lies beside its site.yaml; processes are shared between sites."""
    log = private_folder(site.folder / ".irene") / "client.log"
    os.close(open_private(log, os.O_WRONLY))
    logging.basicConfig(filename=log, level=logging.INFO, format=_LOG_FORMAT, force=True)
