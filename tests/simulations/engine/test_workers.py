"""What of cores and GPUs each process gets, and that Ray starts no more of them than are wanted."""

import pytest

from simulations.engine.workers import Machine, gpu_share, workers_here, workers_there


def started(machines: list[Machine], cores: int, gpus: float) -> int:
    """As Flower's engine counts what fits."""
    fit = [
        min(m.cores // cores, int(m.gpus / gpus)) if gpus else m.cores // cores for m in machines
    ]
    return sum(fit)


@pytest.mark.parametrize(
    ("gpus", "parallel", "share"), [(0, 2, 0.0), (1, 1, 1.0), (1, 3, 0.3333), (4, 2, 1.0)]
)
def test_processes_share_the_gpus(gpus: int, parallel: int, share: float) -> None:
    assert gpu_share(gpus, parallel) == share
    assert gpu_share(gpus, parallel) * parallel <= gpus


@pytest.mark.parametrize("cores", [1, 2, 8, 64])
@pytest.mark.parametrize("gpus", [0, 1, 3, 8])
@pytest.mark.parametrize("most", [1, 2, 3, 8])
def test_a_machine_trains_as_many_sites_as_are_wanted(cores: int, gpus: int, most: int) -> None:
    workers = workers_here(Machine(cores=cores, gpus=gpus), most)
    lent = Machine(cores=workers.cores * workers.count, gpus=gpus)
    assert started([lent], workers.cores, workers.gpus) == workers.count == most


@pytest.mark.parametrize(
    ("machines", "most", "count", "cores", "gpus"),
    [
        ([(1, 0), (1, 0)], 2, 2, 1, 0.0),
        ([(8, 0), (8, 0)], 4, 4, 4, 0.0),
        ([(8, 0), (8, 0)], 3, 2, 8, 0.0),  # three would be two and one: Ray would start four
        ([(16, 0), (4, 0)], 100, 20, 1, 0.0),
        ([(16, 0), (4, 0)], 5, 5, 4, 0.0),
        ([(2, 0), (2, 0), (2, 0)], 2, 3, 2, 0.0),  # one a machine at least
        ([(8, 1), (8, 1)], 8, 8, 2, 0.25),
        ([(8, 1), (8, 4)], 8, 8, 2, 0.25),
        ([(8, 1), (64, 0)], 4, 4, 2, 0.25),  # nobody waits for a machine without a GPU
    ],
)
def test_a_cluster_trains_at_most_as_many(
    machines: list[tuple[int, int]], most: int, count: int, cores: int, gpus: float
) -> None:
    lent = [Machine(cores=c, gpus=g) for c, g in machines]
    workers = workers_there(lent, most)
    assert (workers.count, workers.cores, workers.gpus) == (count, cores, gpus)
    assert started(lent, cores, gpus) == count
