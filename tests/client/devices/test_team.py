"""Two processes share each step's patients: the same sums, updates and noise as one alone."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist

from client.budget.plan import Plan
from client.devices.draws import Draw
from client.devices.plain_gradient import PlainGradient
from client.devices.team import ALONE, Team, sharing
from client.devices.workers import WorkerLost, Workers
from client.ledger.ledger import Ledger
from client.records.dataset import SiteDataset, open_dataset
from client.site.hardware import Memory
from client.site.site import Budget
from client.training.one_step import clipped_sum
from client.training.training import train_round
from irene_model.exchange.protocol import Arrays
from irene_model.study.study import Study
from irene_model.weights.groups import choose_mapped
from irene_model.weights.weights import load_arrays, new_model
from tests.helpers.hospital_folder import SMALL, write_hospital
from tests.helpers.sites.trained_round import (
    CPU,
    flat,
    reproducible,
    weights_of,
    without_noise,
)

pytestmark = pytest.mark.slow  # processes that load the libraries
TWO = [CPU, CPU]
NOTHING = {name: np.zeros(4, bool) for name in ("image", "text", "labs", "demographics")}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SiteDataset:
    hospital = write_hospital(tmp_path_factory.mktemp("two") / "north", patients=40)
    hospital.configure("model", SMALL, "study.yaml")
    hospital.configure("training.expected_batch", 12, "study.yaml")
    return open_dataset(hospital.site, hospital.study)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """The same ones for all tests, as for all messages."""
    workers = Workers(TWO)
    yield workers
    workers.close()


def with_study(dataset: SiteDataset, **changes: Any) -> SiteDataset:
    document = dataset.study.model_dump(mode="json")
    for dotted, value in changes.items():
        part, key = dotted.split("__")
        document[part][key] = value
    return replace(dataset, study=Study.model_validate(document))


def updated(
    dataset: SiteDataset, plan: Plan, folder: Path, team: Team, memory: Memory, **more: Any
) -> Arrays:
    return train_round(
        weights_of(dataset),
        dataset=dataset,
        plan=plan,
        ledger=more.pop("ledger", None) or Ledger(folder / f"{time.time_ns()}.sqlite", None),
        run="r",
        round=1,
        randomness=reproducible(seed=7),
        device=CPU,
        memory=memory,
        team=team,
        **more,
    )


@pytest.mark.parametrize("engine", ["fused", "opacus"])
@pytest.mark.parametrize("modalities", [None, ("image", "labs")])
def test_clipped_sums_are_those_of_one_process(
    site: SiteDataset, workers: Workers, engine: str, modalities: tuple[str, ...] | None
) -> None:
    dataset = with_study(site, privacy__engine=engine)
    plan = without_noise(dataset)
    plan = replace(plan, clip_norm=0.3, mechanism=replace(plan.mechanism, sample_rate=0.7))

    def sums(team: Team, micro_batch: int) -> Arrays:
        model = new_model(dataset.study, seed=0)
        load_arrays(model, weights_of(dataset))
        if modalities is not None:
            choose_mapped(model, modalities, dataset.study.model.method)
        return clipped_sum(
            model, dataset=dataset, plan=plan, randomness=reproducible(seed=3), device=CPU,
            memory=Memory(micro_batch=micro_batch), team=team,
        )  # fmt: skip

    alone, together = sums(ALONE, 128), sums(Team(workers=workers), 3)
    assert alone.keys() == together.keys()
    largest = max(float(np.abs(array).max()) for array in alone.values())
    for name, array in alone.items():
        np.testing.assert_allclose(together[name], array, rtol=1e-5, atol=1e-5 * largest)


@pytest.mark.parametrize("private", [True, False])
def test_updates_without_noise_are_those_of_one_process(
    site: SiteDataset, workers: Workers, tmp_path: Path, private: bool
) -> None:
    """Three steps of modality dropout and a Poisson sample: the same patients, the same gaps."""
    rates = {"image": 0.3, "text": 0.3, "labs": 0.3, "demographics": 0.3}
    dataset = with_study(site, training__optimizer="sgd", training__modality_dropout=rates)
    if not private:
        document = dataset.study.model_dump(mode="json")
        document["privacy"] = {"noise_multiplier": 0.0, "clip_norm": 1.0, "delta": 1e-3}
        dataset = replace(dataset, study=Study.model_validate(document))
    quiet = 1e-9 if private else 0.0
    plan = without_noise(dataset, steps=3)
    plan = replace(plan, mechanism=replace(plan.mechanism, sample_rate=0.6, noise_multiplier=quiet))
    assert plan.private == private
    alone = updated(dataset, plan, tmp_path, ALONE, Memory())
    together = updated(dataset, plan, tmp_path, Team(workers=workers), Memory(micro_batch=4))
    assert alone.keys() == together.keys()
    one, other = flat(alone), flat(together)
    assert np.abs(one).max() > 0
    np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5 * np.abs(one).max())


def test_noise_is_added_once_and_is_the_one_of_one_process(
    site: SiteDataset, workers: Workers, tmp_path: Path
) -> None:
    dataset = with_study(site, training__optimizer="sgd")
    plan = without_noise(dataset)
    plan = replace(plan, mechanism=replace(plan.mechanism, sample_rate=0.5, noise_multiplier=3.0))
    alone = flat(updated(dataset, plan, tmp_path, ALONE, Memory()))
    together = flat(updated(dataset, plan, tmp_path, Team(workers=workers), Memory()))
    deviation = plan.learning_rate * 3.0 * plan.clip_norm / plan.expected_batch
    assert together.std() == pytest.approx(deviation, rel=0.05)  # of two noises: 1.41 times it
    # The same noise on the same sum, but for steps of its lattice.
    assert np.abs(together - alone).max() <= deviation * 2**-9
    assert np.mean(together == alone) > 0.99


def test_an_empty_step_is_pure_noise(site: SiteDataset, workers: Workers, tmp_path: Path) -> None:
    plan = without_noise(site)
    plan = replace(plan, mechanism=replace(plan.mechanism, sample_rate=1e-9, noise_multiplier=3.0))
    alone = flat(updated(site, plan, tmp_path, ALONE, Memory()))
    together = flat(updated(site, plan, tmp_path, Team(workers=workers), Memory()))
    assert np.array_equal(alone, together) and np.abs(alone).min() >= 0


def test_a_killed_worker_fails_the_round_and_the_next_one_has_another(
    site: SiteDataset, workers: Workers, tmp_path: Path
) -> None:
    team, plan = Team(workers=workers), without_noise(site)
    noisy = replace(plan, mechanism=replace(plan.mechanism, noise_multiplier=2.0))
    ledger = Ledger(tmp_path / "ledger.sqlite", Budget(epsilon=800, delta=1e-3))
    updated(site, noisy, tmp_path, team, Memory())
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(WorkerLost, match=r"device: the process of cpu, the device number 2"):
        updated(site, noisy, tmp_path, team, Memory(), ledger=ledger)
    assert [each.released for each in ledger.reservations()] == [False]
    assert workers.pids == [] and not dist.is_initialized()
    assert flat(updated(site, noisy, tmp_path, team, Memory(), ledger=ledger)).any()
    assert [each.released for each in ledger.reservations()] == [True]
    assert workers.pids != [pid]


def test_a_worker_that_dies_in_the_middle_of_a_sum_is_named_too(
    site: SiteDataset, workers: Workers, tmp_path: Path
) -> None:
    """It has said that it is there, and waits for the first device's numbers."""
    updated(site, without_noise(site), tmp_path, Team(workers=workers), Memory())
    (pid,) = workers.pids

    def dying() -> Iterator[torch.Tensor]:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.5)
        yield torch.zeros(10**6)
        yield torch.zeros(10**6)

    model = new_model(site.study, seed=0)
    gradient = PlainGradient(model, expected_batch=4)
    with (
        pytest.raises(WorkerLost, match="the device number 2 of"),
        sharing(
            model, gradient, dataset=site, draws=[Draw(rows=np.arange(4), hidden=NOTHING)],
            clip_norm=None, expected_batch=4, device=CPU, memory=Memory(),
            team=Team(workers=workers),
        ),
    ):  # fmt: skip
        workers.give(dying())
    assert workers.pids == [] and not dist.is_initialized()


def test_an_error_of_this_process_ends_the_workers_too(
    site: SiteDataset, workers: Workers, tmp_path: Path
) -> None:
    """They would wait for sums for ever."""
    broken = replace(site, pixels=site.pixels[:1])  # here alone: the worker reads the cache
    with pytest.raises(IndexError):
        updated(broken, without_noise(site), tmp_path, Team(workers=workers), Memory())
    assert workers.pids == [] and not dist.is_initialized()


def test_what_a_worker_meets_is_told_by_its_kind_alone(
    site: SiteDataset, workers: Workers, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert site.stored is not None
    other = replace(site, stored=replace(site.stored, written=(0, 0)))
    with pytest.raises(WorkerLost, match=r"number 2 of site\.yaml, failed \(DataError\) while"):
        updated(other, without_noise(site), tmp_path, Team(workers=workers), Memory())
    assert "was written anew while a message was answered" in capfd.readouterr().err


def test_a_data_set_in_memory_alone_is_not_shared(
    site: SiteDataset, workers: Workers, tmp_path: Path
) -> None:
    alone = replace(site, stored=None)
    with pytest.raises(ValueError, match="only a data set in a site's cache"):
        updated(alone, without_noise(site), tmp_path, Team(workers=workers), Memory())
    assert flat(updated(alone, without_noise(site), tmp_path, ALONE, Memory())).any()
