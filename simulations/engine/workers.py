"""How many processes train at once, and what of cores and GPUs each of them gets. Pure.

Ray starts as many as fit on each machine, so `most` is kept by how much each one gets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_GPU_SHARES = 10_000  # into so many Ray divides a GPU


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What a machine lends."""

    cores: int
    gpus: int


@dataclass(frozen=True, kw_only=True)
class Workers:
    """`count` processes in all, each with `cores` and the share `gpus` of a GPU."""

    count: int
    cores: int
    gpus: float


def workers_here(machine: Machine, most: int) -> Workers:
    """`most` processes on this machine; more than it has cores share them."""
    cores = max(1, machine.cores // most)
    return Workers(count=most, cores=cores, gpus=gpu_share(machine.gpus, most))


def workers_there(machines: Sequence[Machine], most: int) -> Workers:
    """As many processes as a cluster's machines hold, at most `most`, but one a machine.

    Machines without a GPU train nothing where another one has some: everyone would wait for them.
    """
    if any(machine.gpus for machine in machines):
        machines = [machine for machine in machines if machine.gpus]
    largest = max(machine.cores for machine in machines)

    def held(cores: int) -> int:
        return sum(machine.cores // cores for machine in machines)

    fitting = [each for each in range(1, largest + 1) if held(each) <= most] or [largest]
    cores = max(fitting, key=lambda each: (held(each), each))
    used = [machine for machine in machines if machine.cores >= cores]
    gpus = min(gpu_share(machine.gpus, machine.cores // cores) for machine in used)
    return Workers(count=held(cores), cores=cores, gpus=gpus)


def gpu_share(gpus: int, processes: int) -> float:
    """What of a GPU each of `processes` on one machine gets, rounded down as Ray counts."""
    return min(1.0, math.floor(_GPU_SHARES * gpus / processes) / _GPU_SHARES)
