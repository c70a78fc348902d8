"""A Ray cluster that is there already: whether it can train these sites, and a connection to it.

Each of its machines is asked, before anything is trained, which versions it computes with and
whether it sees the sites' folders. A copy of a folder is not the folder: its ledger would not know
what another machine has spent. So each folder gets a file with a word that no copy has.
"""

import logging
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from client.site import Site
from irene_model.errors import ConfigError
from irene_model.journal import private_folder, write_private
from server.runs import versions
from simulations.engine.workers import Machine

_ANSWER_S = 5.0
_CHECK_S = 120.0  # a machine's first process imports the product


def check_address(address: str) -> None:
    """Raise ConfigError where nothing answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or "/" in address or not port.isdigit() or not 0 < int(port) < 2**16:
        raise ConfigError(f"--ray: '{address}': give HOST:PORT, as `ray start --head` shows it")
    # Ray itself would try for minutes, and a proxy knows nothing of it.
    channel = grpc.insecure_channel(address, [("grpc.enable_http_proxy", 0)])
    try:
        grpc.channel_ready_future(channel).result(timeout=_ANSWER_S)
    except grpc.FutureTimeoutError:
        raise ConfigError(
            f"--ray: {address}: no Ray cluster answers there within {_ANSWER_S:.0f} s; start one "
            f"with `ray start --head --port {port}`, or give the address of one"
        ) from None
    finally:
        channel.close()


@contextmanager
def joined_cluster(address: str, sites: Sequence[Site]) -> Iterator[list[Machine]]:
    """This process's connection to the cluster at `address` (HOST:PORT); its machines.

    Raises ConfigError where nothing answers there, another version of Ray, Python or of what
    computes is at work, or a machine does not see a folder of `sites`.
    """
    check_address(address)
    import ray

    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env=environment(),
        )
    except (ConnectionError, RuntimeError) as error:
        raise ConfigError(f"--ray: {address}: {_why(error)}") from None
    try:
        nodes = [node for node in ray.nodes() if node["Alive"]]
        with _marked(sites) as marks:
            _check_machines(nodes, marks)
        lent = [node["Resources"] for node in nodes]
        machines = [Machine(cores=int(r.get("CPU", 0)), gpus=int(r.get("GPU", 0))) for r in lent]
        yield [machine for machine in machines if machine.cores]
    finally:
        ray.shutdown()


def environment() -> dict[str, dict[str, str]]:
    """What Ray's processes begin with: they import from where this process does, and compute in
    one thread each. Ray would give each its share of the cores, and a sum split over more threads
    rounds otherwise: equal seeds would give other weights with another number of processes.
    """
    path = os.pathsep.join(filter(None, sys.path))
    return {"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}}


def look_from_here(marks: dict[str, str]) -> tuple[dict[str, str], str | None]:
    """What a machine of the cluster says: its versions, and the first folder that it lacks.

    marks: a file in each folder, and the word in it.
    """
    for path, word in marks.items():
        seen = None
        with suppress(OSError):
            seen = Path(path).read_text(encoding="ascii")
        if seen != word or not os.access(Path(path).parent, os.W_OK):
            return versions(), str(Path(path).parent)
    return versions(), None


def _why(error: BaseException) -> str:
    """Ray's reason in one line."""
    told = " ".join(str(error).split())
    if "ersion mismatch" in told:
        return f"{told}; install the same versions on all machines"
    return (
        f"Ray can't connect to it ({told}); this machine must be one of the cluster, as "
        "`ray start --address` makes it"
    )


@contextmanager
def _marked(sites: Sequence[Site]) -> Iterator[dict[str, str]]:
    """A file with a word of its own in each folder that a client of `sites` writes to."""
    marks: dict[str, str] = {}
    try:
        for folder in {f: None for s in sites for f in _folders(s)}:
            path = private_folder(folder) / f"seen-{secrets.token_hex(8)}"
            marks[str(path)] = secrets.token_hex(8)
            write_private(path, marks[str(path)].encode(), durable=False)
        yield marks
    finally:
        for written in marks:
            Path(written).unlink(missing_ok=True)


def _folders(site: Site) -> Iterator[Path]:
    yield site.folder / ".irene"
    yield site.resolve(site.ledger).parent


def _check_machines(nodes: Sequence[dict[str, Any]], marks: dict[str, str]) -> None:
    """Ask each machine; ConfigError names the first that can't take part, and why."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    look = ray.remote(num_cpus=0, max_retries=0)(look_from_here)
    there_alone = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    answers = [look.options(scheduling_strategy=each).remote(marks) for each in there_alone]
    here = versions()
    for node, answer in zip(nodes, answers, strict=True):
        name = node["NodeManagerHostname"]
        try:
            there, lacking = ray.get(answer, timeout=_CHECK_S)
        except ray.exceptions.RayError as error:
            raise ConfigError(
                f"--ray: machine {name} can't run this product ({type(error).__name__}); install "
                f"federated-irene {here['federated-irene']} there, in the Python that Ray runs in"
            ) from None
        for what, version in here.items():
            if there.get(what) != version:
                raise ConfigError(
                    f"--ray: machine {name} has {what} {there.get(what)}, and this one {version}; "
                    "install the same versions on all machines"
                )
        if lacking is not None:
            raise ConfigError(
                f"--ray: machine {name} does not see {lacking}, or can't write there; the sites' "
                "folders must be on storage that all machines share, at the same path"
            )
