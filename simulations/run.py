"""One federated run on this machine: real server, real clients, Flower's simulation engine.

A simulated site is a folder like a real one and is read by the same client code; only the way in
which messages travel differs from the deployment. The engine is chosen here and nowhere else.
"""

import logging
import math
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from client.consent import read_mask_key
from client.records import SiteDataset, open_dataset
from client.site import Site
from irene_model.journal import open_private, private_folder
from irene_model.operations import loopback_direct
from irene_model.study import Study
from irene_model.weights import StartingPoint
from server.app import execute
from server.rounds import Observer
from server.runs import RunFolder
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

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
_GPU_SHARES = 10_000  # into so many Ray divides a GPU
_LOOK_S = 0.02  # between two looks for replies: Flower's grid is in this very process
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
    watched: Callable[[ClientApp], ClientApp] = lambda client: client,
) -> Path:
    """Run what is left of the run in `folder`; returns the path of its report.

    `sites` stand for the site files that the run names: in a comparison the same patients take
    part in many runs, and each run charges a ledger of its own. watched: what stands around the
    client, for measuring it.
    """
    if sites is None:
        # A joined site's path is absolute and stays as it is under `/`.
        files = [(folder.path / path).resolve() for path in folder.info["site_files"]]
        sites = [Site.read(path) for path in files]
    reports: list[Path] = []
    server = ServerApp()

    @server.main()
    def _main(grid: Grid, _context: Context) -> None:
        reports.append(
            execute(
                grid,
                folder,
                expected_sites=len(sites),
                give_up=True,
                observe=observe,
                poll_s=_LOOK_S,
            )
        )

    client = client_app(sites, seed=folder.info["seed"], masked=folder.info.get("masks", True))
    _run_engine(
        server,
        watched(client),
        num_sites=len(sites),
        parallel=folder.info["parallel_sites"],
    )
    return reports[0]


def client_app(sites: Sequence[Site], *, seed: int, masked: bool = True) -> ClientApp:
    """The installed client, with the site found by the node's partition.

    masked: False leaves the masks of secure sums out; the sums are the same.
    """
    app = ClientApp()

    def respond(message: Message, context: Context) -> Message:
        # What is imported here is that of the process, which stays; all else comes with a message.
        from client.app import answer
        from client.participant import Participant
        from simulations.run import KEPT

        site = sites[int(context.node_config["partition-id"])]
        _log_to(site)
        participant = Participant(site=site, simulation_seed=seed, masked=masked, dataset=KEPT.open)
        return answer(message, participant)

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


KEPT = KeptDatasets()
"""Of this process."""


def _log_to(site: Site) -> None:
    """A simulated client's log lies beside its site.yaml; Ray shares processes between sites."""
    log = private_folder(site.folder / ".irene") / "client.log"
    os.close(open_private(log, os.O_WRONLY))
    logging.basicConfig(filename=log, level=logging.INFO, format=_LOG_FORMAT, force=True)


def gpu_share(gpus: int, parallel: int) -> float:
    """What of a GPU each of `parallel` processes gets, rounded down as Ray counts."""
    return min(1.0, math.floor(_GPU_SHARES * gpus / parallel) / _GPU_SHARES)


def _run_engine(server: ServerApp, client: ClientApp, *, num_sites: int, parallel: int) -> None:
    """Flower's engine on Ray, in this process; errors of the server come back as they are."""
    os.environ.update({**loopback_direct(os.environ), **_QUIET})
    from flwr.simulation import run_simulation

    parallel = min(parallel, num_sites)
    cores = max(1, (os.cpu_count() or 1) // parallel)
    gpus = gpu_share(torch.cuda.device_count(), parallel)
    logging.getLogger("flwr").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run_simulation(
            server_app=server,
            client_app=client,
            num_supernodes=num_sites,
            backend_config={
                "client_resources": {"num_cpus": cores, "num_gpus": gpus},
                "init_args": {
                    "num_cpus": cores * parallel,
                    "include_dashboard": False,
                    "_node_ip_address": "127.0.0.1",  # Ray would look for the internet's way out
                    "log_to_driver": False,
                    "logging_level": logging.ERROR,
                },
            },
        )
