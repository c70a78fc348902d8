"""A server and a client run on Flower's engine, on this machine or on a Ray cluster."""

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from threadpoolctl import threadpool_limits

from client.site import Site
from irene_model.errors import IreneError
from irene_model.operations import loopback_direct
from simulations.engine.carriers import Carriers, site_of
from simulations.engine.cluster import environment, joined_cluster
from simulations.engine.delivery import Delivery
from simulations.engine.shared_sites import SharedSites
from simulations.engine.workers import Machine, Workers, workers_here, workers_there

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",
}
_STARTS = 3  # tries
_AHEAD = 4  # messages a process: the engine looks for the next ones ten times a second

Answer = Callable[[Site, Message], Message]


def run_engine(
    serve: Callable[[Grid], None],
    answer: Answer,
    sites: Sequence[Site],
    *,
    parallel: int,
    ray_address: str | None = None,
    watched: Callable[[ClientApp], ClientApp] = lambda client: client,
) -> None:
    """`serve` with a grid of one node a site, whose messages `answer` answers in other processes.

    parallel: the most processes. ray_address: of a Ray cluster that is there; None starts Ray here.
    watched: what stands around the client, for measuring it. Errors of `serve` come back as they
    are.
    """
    os.environ.update({**loopback_direct(os.environ), **_QUIET})
    most = min(parallel, len(sites))
    started = _ray_here(most) if ray_address is None else _ray_there(ray_address, sites, most)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with started as workers:
            _simulate(serve, watched(_client(answer, SharedSites(sites))), len(sites), workers)


def _client(answer: Answer, sites: SharedSites) -> ClientApp:
    app = ClientApp()

    def respond(message: Message, _context: Context) -> Message:
        return answer(sites[site_of(message)], message)

    app.query()(respond)
    app.train()(respond)
    app.evaluate()(respond)
    return app


def _simulate(
    serve: Callable[[Grid], None], client: ClientApp, sites: int, workers: Workers
) -> None:
    from flwr.simulation import run_simulation

    server, carriers = ServerApp(), min(sites, _AHEAD * workers.count)
    delivery = Delivery()

    @server.main()
    def _main(grid: Grid, _context: Context) -> None:
        serve(Carriers(grid, sites=sites, carriers=carriers, delivery=delivery))

    logging.getLogger("flwr").setLevel(logging.ERROR)
    # The cores are the sites': a pool of threads that waits for its next sum would keep one busy.
    with threadpool_limits(limits=1), delivery.in_engine():
        run_simulation(
            server_app=server,
            client_app=client,
            num_supernodes=carriers,
            backend_config={
                "client_resources": {"num_cpus": workers.cores, "num_gpus": workers.gpus}
            },
        )


@contextmanager
def _ray_here(most: int) -> Iterator[Workers]:
    import ray

    here = Machine(cores=os.cpu_count() or 1, gpus=torch.cuda.device_count())
    workers = workers_here(here, most)
    _start_ray(workers.cores * workers.count)
    try:
        yield workers
    finally:
        ray.shutdown()


def _start_ray(cores: int) -> None:
    """Ray gives its own processes 30 s, which a busy machine may exceed; IreneError in the end."""
    import ray

    for _ in range(_STARTS):
        try:
            ray.init(
                num_cpus=cores,
                include_dashboard=False,
                _node_ip_address="127.0.0.1",  # Ray would look for the internet's way out
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env=environment(),
            )
        except Exception as error:  # a bare one is what Ray raises
            ray.shutdown()
            why = type(error).__name__
        else:
            return
    raise IreneError(
        f"Ray, which runs the simulated sites, did not start on this machine in {_STARTS} tries "
        f"({why}); is the machine very busy, or short of memory or of room in /tmp? The same "
        "command goes on once that is mended"
    )


@contextmanager
def _ray_there(address: str, sites: Sequence[Site], most: int) -> Iterator[Workers]:
    with joined_cluster(address, sites) as machines:
        yield workers_there(machines, most)
