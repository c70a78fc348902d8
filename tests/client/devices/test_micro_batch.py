"""How many patients at a time: sought once, halved where memory ends, and without trace."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.devices.draws import draw_step
from client.devices.micro_batch import largest_that_fits, micro_batch_for
from client.devices.plain_gradient import Gradient, PlainGradient
from client.devices.share import Share
from client.private.dp import PrivateGradient
from client.private.randomness import Randomness
from client.records.dataset import SiteDataset
from client.site.hardware import ON_CPU, Memory
from irene_model.errors import ConfigError
from irene_model.weights.weights import new_model
from tests.helpers.sites.small_memory import room_for

CPU = torch.device("cpu")
AUTO = Memory(micro_batch="auto")


@given(limit=st.integers(0, 5000), most=st.integers(1, 4096))
def test_the_largest_is_found_to_an_eighth_in_few_tries(limit: int, most: int) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    found, best = largest_that_fits(fits, most=most), max(1, min(limit, most))
    assert found <= best < found + max(1, found // 8)
    assert all(1 <= size <= most for size in tried) and len(tried) <= 16


def test_what_was_found_is_kept_for_study_and_device(dataset: SiteDataset, tmp_path: Path) -> None:
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= 5

    def size_of(memory: Memory = AUTO, dataset: SiteDataset = dataset) -> int:
        found = micro_batch_for(
            memory, dataset.study, CPU, folder=tmp_path / "kept", fits=fits, search=True
        )
        return found.size

    assert size_of() == 5 and max(tried) <= 2 * dataset.study.training.expected_batch
    tried.clear()
    assert size_of() == 5 and not tried
    assert size_of(Memory(micro_batch=7)) == 7 and not tried
    assert size_of(Memory(micro_batch="auto", gradient_checkpointing=True)) == 5 and tried
    (kept, _) = sorted((tmp_path / "kept").iterdir())
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", ["", "0", "-3", "1e9", "true", "[4]", "99999999999999999999"])
def test_a_kept_number_that_can_not_be_is_sought_again(
    dataset: SiteDataset, tmp_path: Path, content: str
) -> None:
    micro_batch_for(AUTO, dataset.study, CPU, folder=tmp_path, fits=lambda _: True, search=True)
    (kept,) = tmp_path.glob("*.json")
    kept.write_text(content)
    found = micro_batch_for(
        AUTO, dataset.study, CPU, folder=tmp_path, fits=lambda size: size <= 3, search=True
    )
    assert found.size == 3 and json.loads(kept.read_text()) == 3


def test_a_processor_takes_what_was_measured(dataset: SiteDataset, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    found = micro_batch_for(AUTO, dataset.study, CPU, folder=folder, fits=lambda _: 1 / 0 > 0)
    assert found.size == ON_CPU and not folder.exists()


def share_of(
    dataset: SiteDataset,
    *,
    memory: Memory = AUTO,
    engine: str | None = "fused",
    steps: int = 3,
    folder: Path | None = None,
    search: bool = True,
) -> Share:
    model = new_model(dataset.study, seed=3).train()
    gradient: Gradient = PlainGradient(model, expected_batch=6)
    if engine is not None:
        gradient = PrivateGradient(model, clip_norm=0.5, engine=engine)  # type: ignore[arg-type]
    randomness = Randomness.reproducible(seed=4, site="north", round=1)
    draws = [draw_step(dataset, sample_rate=0.9, randomness=randomness) for _ in range(steps)]
    return Share(
        model=model, gradient=gradient, dataset=dataset, draws=draws, device=CPU, memory=memory,
        folder=folder, search=search,
    )  # fmt: skip


def sums_of(share: Share) -> list[np.ndarray]:  # type: ignore[type-arg]
    """Of all steps, each by itself."""
    found = []
    for _ in share.draws:
        share.add_step()
        found.append(
            np.concatenate([t.numpy().ravel() for t in share.gradient.take_sums().values()])
        )
    share.close()
    return found


@pytest.mark.parametrize("engine", ["fused", "opacus", None])
def test_a_step_that_runs_out_of_memory_is_begun_again_with_half(
    dataset: SiteDataset, engine: str | None
) -> None:
    whole = sums_of(share_of(dataset, memory=Memory(micro_batch=64), engine=engine))
    assert min(np.abs(each).max() for each in whole) > 0
    share = share_of(dataset, memory=Memory(micro_batch=4), engine=engine)
    with room_for(2) as begun:
        halved = sums_of(share)
    assert share.micro_batch == 2 and [size for size in begun if size > 2]
    for one, other in zip(halved, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("engine", ["fused", "opacus", None])
def test_memory_that_ends_in_the_middle_of_a_step_leaves_nothing_of_it(
    dataset: SiteDataset, engine: str | None
) -> None:
    """The first micro-batches are in the sums already: each patient must be there once."""
    whole = sums_of(share_of(dataset, memory=Memory(micro_batch=64), engine=engine))
    share = share_of(dataset, memory=Memory(micro_batch=2), engine=engine)
    feed, room = share._feed, 0

    def smaller() -> None:
        nonlocal room
        room += 1
        if room == 3:
            raise torch.OutOfMemoryError("no room")

    inside = share.model.register_forward_pre_hook(lambda *_: smaller())
    halved = sums_of(share)
    inside.remove()
    assert share.micro_batch == 1 and share._feed is not feed
    for one, other in zip(halved, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("engine", ["fused", "opacus", None])
def test_the_search_changes_no_sum_and_no_later_draw(
    dataset: SiteDataset, tmp_path: Path, engine: str | None
) -> None:
    whole = sums_of(share_of(dataset, memory=Memory(micro_batch=64), engine=engine))
    torch.manual_seed(9)
    state = torch.get_rng_state()
    with room_for(3) as begun:
        share = share_of(dataset, engine=engine, folder=tmp_path)
        assert share.micro_batch == 3 < max(begun)
        assert torch.equal(torch.get_rng_state(), state)
        found = sums_of(share)
    for one, other in zip(found, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
    with room_for(3) as begun:
        again = share_of(dataset, engine=engine, folder=tmp_path)
        assert again.micro_batch == share.micro_batch and not begun


def test_a_size_that_turned_out_too_large_is_kept_halved(
    dataset: SiteDataset, tmp_path: Path
) -> None:
    share = share_of(dataset, folder=tmp_path)
    before = share.micro_batch
    with room_for(1):
        sums_of(share)
    assert before > 1 and share_of(dataset, folder=tmp_path).micro_batch == 1


def test_a_single_patient_that_does_not_fit_is_one_clear_error(dataset: SiteDataset) -> None:
    share = share_of(dataset, memory=Memory(micro_batch=8))
    with room_for(0), pytest.raises(ConfigError, match=r"device: cpu: its memory holds no single"):
        share.add_step()
    share.close()


def test_any_other_error_is_none_of_memory(dataset: SiteDataset) -> None:
    share = share_of(dataset, memory=Memory(micro_batch=8))

    def fail(*_: object) -> None:
        raise RuntimeError("something else")

    share.model.register_forward_pre_hook(fail)
    with pytest.raises(RuntimeError, match="something else"):
        share.add_step()
    share.close()
