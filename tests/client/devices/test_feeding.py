"""Batches that a thread assembles ahead are the ones that would be assembled without it."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from client.devices.draws import Draw, draw_step
from client.devices.feeding import fed
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset
from irene_model.inputs.tensors import drop_modalities

CPU = torch.device("cpu")
RATES = {"image": 0.3, "text": 0.5, "labs": 0.5, "demographics": 0.2}


def draws(dataset: SiteDataset, seed: int = 1, steps: int = 4) -> list[Draw]:
    randomness = Randomness.reproducible(seed=seed, site="north", round=1)
    return [draw_step(dataset, sample_rate=0.8, randomness=randomness) for _ in range(steps)]


def parts(drawn: list[Draw], size: int) -> list[Draw]:
    return [part for draw in drawn for part in draw.at_most(size)]


@pytest.fixture
def hiding(dataset: SiteDataset) -> SiteDataset:
    """Of a study that hides modalities from the model now and then."""
    known = dataset.study.training
    dropped = known.modality_dropout.model_copy(update=RATES)
    training = known.model_copy(update={"modality_dropout": dropped})
    return replace(dataset, study=dataset.study.model_copy(update={"training": training}))


@pytest.mark.parametrize("size", [1, 3, 64])
def test_the_same_bits_with_and_without_the_thread(hiding: SiteDataset, size: int) -> None:
    asked = parts(draws(hiding), size)
    with_thread = list(fed(hiding, asked, CPU, ahead=True))
    without = list(fed(hiding, asked, CPU, ahead=False))
    assert len(with_thread) == len(without) == len(asked) > 0
    for one, other in zip(with_thread, without, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_they_are_the_data_sets_batches_with_modalities_hidden_as_ever(
    hiding: SiteDataset,
) -> None:
    """The draws of a step are those of one call for each micro-batch, whatever their size."""
    (drawn,) = draws(hiding, steps=1)
    rates = hiding.study.training.modality_dropout.rates
    assert rates == RATES
    rng = Randomness.reproducible(seed=1, site="north", round=1).dropout
    hidden = 0
    for part, batch in zip(drawn.at_most(2), fed(hiding, drawn.at_most(2), CPU), strict=True):
        whole = hiding.batch(part.rows)
        expected = drop_modalities(whole, rates, hiding.study, rng)
        assert all(torch.equal(batch[name], expected[name]) for name in expected)
        hidden += sum(int((whole[name] != batch[name]).sum()) for name in whole if "mask" in name)
    assert hidden > 0


def test_what_the_thread_meets_is_raised_where_the_batch_is_taken(dataset: SiteDataset) -> None:
    broken = replace(draws(dataset)[0], rows=np.array([10**6]))
    feed = fed(dataset, [draws(dataset)[0], broken], CPU, ahead=True)
    assert len(next(feed)["labels"])
    with pytest.raises(IndexError):
        next(feed)
    wait(lambda: not threads())


def test_closing_it_early_ends_the_thread(dataset: SiteDataset) -> None:
    feed = fed(dataset, parts(draws(dataset), 1), CPU, ahead=True)
    next(feed)
    assert threads()
    feed.close()
    wait(lambda: not threads())


def test_all_parts_of_a_draw_are_the_draw() -> None:
    rows = np.arange(11)
    draw = Draw(rows=rows, hidden={"image": rows % 3 == 0})
    for divided in (draw.at_most(4), draw.in_parts(2), draw.in_parts(16)):
        assert np.array_equal(np.concatenate([part.rows for part in divided]), rows)
        lost = np.concatenate([part.hidden["image"] for part in divided])
        assert np.array_equal(lost, draw.hidden["image"])
    assert max(map(len, draw.at_most(4))) == 4
    assert draw.in_parts(16)[-1].at_most(4) == []


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("feeding")]


def wait(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 10
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)
