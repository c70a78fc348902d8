"""Faults that would open a site or starve the noise, planted, and what finds each of them.

Each detector is a function of what the coordinator sees. It finds nothing in the code as it is and
finds the fault once that is in the code.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from scipy.stats import chi2

from irene_model.secure import masks, shares
from irene_model.secure.grid import Grid, grid_of_training
from irene_model.secure.keystream import Keystream
from irene_model.secure.masks import Attempt, mask
from irene_model.secure.sums import add, empty
from tests.irene_model.secure.test_grid import study
from tests.irene_model.secure.test_masks import KEYS, attempt, roster

SITES, SIZE = 4, 20_000
Integers = np.ndarray


def sent(tries: Attempt, values: Sequence[Integers]) -> dict[str, Integers]:
    """What the coordinator gets in an attempt: a vector of each partner."""
    return {
        member.name: mask(
            values[int(member.name[-2:])],
            KEYS[int(member.name[-2:])],
            dataclasses.replace(tries, me=member.name),
        )
        for member in tries.partners
    }


def total_of(vectors: Sequence[Integers]) -> Integers:
    total = empty(SIZE)
    for vector in vectors:
        add(total, vector)
    return total.view(np.int32).astype(np.int64)


def small(rng: np.random.Generator) -> list[Integers]:
    return [rng.integers(-(10**6), 10**6, SIZE) for _ in range(SITES)]


def betrayed(seen: Integers, truth: Integers) -> bool:
    """Whether `seen` follows `truth`, which a masked vector does by chance only."""
    return abs(float(np.corrcoef(seen.astype(np.float64), truth)[0, 1])) > 6 / math.sqrt(SIZE)


# Attackers. Each gets two attempts of the same sites and returns whether it learned of one site.


def by_subtracting_a_repetition(rng: np.random.Generator) -> bool:
    """The same partners try again: masks that are used twice cancel in one site's difference."""
    first, second = small(rng), small(rng)
    one, two = (sent(attempt(attempt=n), v) for n, v in ((1, first), (2, second)))
    return any(
        betrayed((one[name] - two[name]).view(np.int32), first[n] - second[n])
        for n, name in enumerate(one)
    )


def by_words_that_come_again(rng: np.random.Generator) -> bool:
    """Masks of several attempts, shifted against each other as related seeds would make them."""
    zeros = [np.zeros(SIZE, dtype=np.int64)] * SITES
    found: set[int] = set()
    count = 0
    for number in range(1, 4):
        for round in (1, 2):
            vectors = sent(attempt(attempt=number, round=round, sites=3), zeros)
            # With three sites the lowest one's mask and the highest one's are sums of two streams.
            for vector in vectors.values():
                pairs = vector[:-1].astype(np.uint64) << np.uint64(32) | vector[1:]
                found.update(pairs.tolist())
                count += len(pairs)
    return len(found) < count


ATTACKS = [by_subtracting_a_repetition, by_words_that_come_again]


@pytest.mark.parametrize("attack", ATTACKS)
def test_attempts_as_they_are_open_nothing(attack: Callable[[np.random.Generator], bool]) -> None:
    assert not attack(np.random.default_rng(1))


def masks_for_a_round(self: Attempt, other: object) -> bytes:
    return f"{self.round},{sorted((self.me, other.name))}".encode()  # type: ignore[attr-defined]


@pytest.mark.parametrize("attack", ATTACKS)
def test_masks_that_an_attempt_has_from_the_one_before_are_found(
    attack: Callable[[np.random.Generator], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Attempt, "info", masks_for_a_round)
    assert attack(np.random.default_rng(1))


def test_seeds_that_are_related_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Shifted(Keystream):
        def __init__(self, seed: bytes) -> None:
            super().__init__(seed[:32])
            self.fill(np.empty(seed[32] % 16 * 4, dtype=np.uint32))

    def related(secret: bytes, info: bytes) -> bytes:
        """A pair's own key for all attempts, and where in its stream an attempt begins."""
        return secret + bytes([sum(info) % 256])

    monkeypatch.setattr(masks, "_derived", related)
    monkeypatch.setattr(masks, "Keystream", Shifted)
    assert by_words_that_come_again(np.random.default_rng(1))


def late_upload(rng: np.random.Generator, *, fresh: bool) -> tuple[bool, Integers, Integers]:
    """A site is lost and the rest repeat. Whether its vector tells of it before it came late; and
    then all that can be opened, beside it."""
    first = small(rng)
    second = small(rng) if fresh else first
    one = sent(attempt(attempt=1), first)
    two = sent(attempt(attempt=2, partners=roster(SITES - 1)), second)
    here = [name for name in one if name != f"site-{SITES - 1:02}"]
    parts = [one[name] for name in here] + [one[name] - two[name] for name in here]
    parts += [total_of([one[name] for name in here]).astype(np.uint32)]
    told = any(betrayed(p.view(np.int32), value) for p in parts for value in (*first, *second))
    late = total_of(list(one.values())) - total_of(list(two.values()))
    return told, late, first[-1]


def test_an_aborted_attempt_tells_nothing_and_a_late_upload_opens_its_sum_alone() -> None:
    told, opened, lost = late_upload(np.random.default_rng(2), fresh=True)
    assert not told
    # Two charged sums, less each other: the lost site's vector under seven others' worth of noise.
    assert np.corrcoef(opened, lost)[0, 1] < 0.5


def test_the_same_vector_with_other_partners_is_found() -> None:
    """Why batch and noise are drawn anew in each attempt: the ledger refuses anything else."""
    _, opened, lost = late_upload(np.random.default_rng(2), fresh=False)
    assert np.array_equal(opened, lost)


def test_sites_that_were_told_different_partners_have_no_sum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A ring of four, in which each knows its neighbours alone: pairs agree, and lists do not."""
    neighbours = {0: (0, 1, 2), 1: (0, 1, 3), 2: (0, 2, 3), 3: (1, 2, 3)}
    values = small(np.random.default_rng(3))

    def summed() -> bool:
        vectors = [
            mask(
                values[me],
                KEYS[me],
                attempt(me, partners=tuple(roster(SITES)[n] for n in known)),
            )
            for me, known in neighbours.items()
        ]
        return np.array_equal(total_of(vectors), np.sum(values, axis=0))

    assert not summed()
    monkeypatch.setattr(Attempt, "_digest", "")
    assert summed()


def test_survivors_that_the_masks_do_not_know_leave_no_sum() -> None:
    """The server adds up fewer than the attempt has: even bits, far beyond any sum's bound."""
    grid = grid_of_training(study(), SIZE)
    values = small(np.random.default_rng(5))
    vectors = sent(attempt(), values)
    whole = total_of(list(vectors.values()))
    assert np.array_equal(whole, np.sum(values, axis=0))
    assert np.abs(grid.decode(whole.astype(np.uint32))).max() <= grid.bound
    for name in vectors:
        rest = total_of([vector for other, vector in vectors.items() if other != name])
        assert np.abs(rest).mean() > 0.9 * 2**30  # even bits: 2^30
        assert not any(betrayed(rest, value) for value in values)


# Noise: variance of what the coordinator and its helpers can't explain, against the claim.


def unexplained(grids: Sequence[Grid], *, known: Sequence[int], seed: int) -> Integers:
    """A sum of sites without patients, less what the colluding ones `known` added themselves."""
    added = [
        grid.noised(np.zeros(SIZE), Keystream.reproducible(seed, n)) for n, grid in enumerate(grids)
    ]
    whole = total_of(list(sent(attempt(sites=SITES), added).values()))
    return whole - np.sum([added[n] for n in known], axis=0)


def too_little(noise: Integers, *, claimed: float, grid: Grid) -> bool:
    """Whether it has less than the claimed multiplier of what one patient moves a sum by."""
    moved = study().privacy.clip_norm / grid.unit + math.sqrt(SIZE)
    return float((noise.astype(np.float64) ** 2).sum()) / (claimed * moved) ** 2 < chi2.isf(
        1 - 1e-6, SIZE
    )


JOINT = 1.2  # the study's noise multiplier


def starved(grids: Sequence[Grid], known: Sequence[int] = (3,)) -> bool:
    noise = unexplained(grids, known=known, seed=11)
    return too_little(noise, claimed=JOINT, grid=grids[0])


def test_the_honest_sites_noise_is_what_the_study_claims() -> None:
    grids = [grid_of_training(study(), SIZE)] * SITES
    assert not starved(grids)
    noise = unexplained(grids, known=(1, 2, 3), seed=12)  # everybody else colludes
    alone = JOINT / math.sqrt(SITES - 1)
    assert not too_little(noise, claimed=alone, grid=grids[0])
    assert too_little(noise, claimed=1.05 * alone, grid=grids[0])


def test_a_site_without_noise_is_found() -> None:
    grid = grid_of_training(study(), SIZE)
    assert starved([dataclasses.replace(grid, deviation=0.0), *[grid] * (SITES - 1)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda noise, sites, colluding: noise / sites,
        lambda noise, sites, colluding: noise / math.sqrt(sites),  # forgets who colludes
        lambda noise, sites, colluding: noise / (sites - colluding),
    ],
)
def test_noise_that_does_not_add_up_is_found(
    wrong: Callable[..., float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        shares, "share_of", lambda noise, *, sites, colluding: wrong(noise, sites, colluding)
    )
    assert starved([grid_of_training(study(), SIZE)] * SITES)
