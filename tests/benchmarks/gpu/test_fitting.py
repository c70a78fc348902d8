"""The search for the largest batch, and turns that shrink until they fit."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.memory import Found, fits, largest
from benchmarks.gpu.section import PLAIN, Asked, Line, attempted
from benchmarks.gpu.turns import take_turns, turns_that_fit


@pytest.mark.parametrize("room", [1, 2, 3, 7, 100, 331, 1000])
@pytest.mark.parametrize(("first", "growth"), [(16, 2.0), (1, 2.0), (300, 1.1), (900, 1.1)])
def test_the_largest_is_found_to_a_sixteenth(room: int, first: int, growth: float) -> None:
    asked: list[int] = []

    def fits(records: int) -> bool:
        asked.append(records)
        return records <= room

    found = largest(fits, first=first, most=4096, until=1e9, growth=growth, clock=lambda: 0.0)
    assert found.bounded
    assert room - max(1, room // 16) <= found.records <= room
    assert len(asked) == len(set(asked)) <= 75


def test_nothing_fits_all_fits_and_the_time_is_up() -> None:
    ticks = itertools.count()
    assert largest(lambda _: False, first=8, most=64, until=9, clock=lambda: 0).records == 0
    found = largest(lambda _: True, first=8, most=100, until=9, clock=lambda: 0)
    assert found == Found(records=100, bounded=False)
    found = largest(lambda _: True, first=8, most=100, until=2, clock=lambda: next(ticks))
    assert found == Found(records=16, bounded=False)


def test_what_is_known_to_fit_is_the_least_that_is_found() -> None:
    asked: list[int] = []

    def fits(records: int) -> bool:
        asked.append(records)
        return records <= 60

    found = largest(fits, first=70, most=99, until=9, growth=1.1, known=32, clock=lambda: 0)
    assert 57 <= found.records <= 60
    assert found.bounded
    assert asked[:3] == [70, 63, 57]
    ticks = itertools.count()
    found = largest(fits, first=70, most=99, until=1, known=32, clock=lambda: next(ticks))
    assert found == Found(records=32, bounded=False)


def test_turns_go_on_with_fewer_records_where_memory_is_short() -> None:
    tried: list[int] = []

    def new_steps(records: int) -> dict[str, object]:
        tried.append(records)

        def step() -> None:
            if records > 50:
                raise torch.OutOfMemoryError("no memory")

        return {"step": step}

    batch, seconds = turns_that_fit(new_steps, batch=100, seconds=0.0, device="cpu")  # type: ignore[arg-type]
    assert tried == [100, 75, 56, 42]
    assert batch == 42
    assert seconds["step"] >= 0


def test_steps_take_turns() -> None:
    order: list[str] = []
    steps = {name: lambda name=name: order.append(name) for name in "ab"}
    take_turns(steps, seconds=0.0, device="cpu")
    assert order == list("ab" * 4)


def test_memory_that_is_short_is_told_from_what_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(device="cpu", preset="tiny", seconds=0.01, most=2, folder=tmp_path)
    for error, expected in (
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), False),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), None),
    ):

        def fail(*_args: object, error: Exception = error, **_named: object) -> None:
            raise error

        with monkeypatch.context() as patched:
            patched.setattr("torch.optim.AdamW.step", fail)
            if expected is None:
                with pytest.raises(RuntimeError, match="illegal"):
                    fits(asked, PLAIN, 1)
            else:
                assert fits(asked, PLAIN, 1) is expected
    assert fits(asked, "fused", 1)


def test_what_fails_is_one_line_and_what_came_before_stays() -> None:
    instead = Line(section="s", what="w", variant="v")

    def lines() -> Iterator[Line]:
        yield Line(section="s", what="first", variant="v", value=1.0)
        raise ValueError("no such kernel\nand more")

    first, second = attempted(lines(), instead)
    assert first.value == 1.0
    assert second.value is None
    assert second.note == "ValueError: no such kernel"
