"""The soak's judgement, on made-up samples: what grows is named, and nothing else is."""

from collections.abc import Callable

from tests.drills.soak import judge
from tests.helpers.federations.deployed import Sample, Use


def samples(
    *,
    memory: Callable[[int], float] = lambda _: 200e6,
    files: Callable[[int], int] = lambda _: 30,
    processes: Callable[[int], int] = lambda _: 1,
    disk: Callable[[int], float] = lambda round: 5e6 + 20e3 * round,
) -> list[Sample]:
    return [
        Sample(
            round=round,
            at=float(round),
            uses={
                "superlink": Use(
                    seconds=1.0, bytes=int(memory(round)), files=files(round),
                    processes=processes(round),
                )
            },
            coordinator=int(disk(round)),
            hospital=400_000,
        )
        for round in range(1, 101)
    ]  # fmt: skip


def grows(found: list[Sample]) -> list[str]:
    return [each.what.partition(": ")[0] for each in judge(found) if not each.good]


def test_a_federation_that_stays_as_it_is_passes() -> None:
    assert grows(samples()) == []
    assert grows(samples(memory=lambda r: 200e6 + 40e6 * (r % 2))) == []  # at work, or not
    assert grows(samples(memory=lambda r: 100e6 if r < 8 else 300e6)) == []  # warmed up


def test_what_grows_is_named() -> None:
    assert grows(samples(memory=lambda r: 200e6 + 1e6 * r)) == ["superlink, bytes"]
    assert grows(samples(files=lambda r: 30 + r // 4)) == ["superlink, files"]
    assert grows(samples(processes=lambda r: 1 + r // 20)) == ["superlink, processes"]
    (disk,) = grows(samples(disk=lambda r: 3e6 * r))
    assert disk.startswith("coordinator, bytes on disk, 3,000,000 a round")
