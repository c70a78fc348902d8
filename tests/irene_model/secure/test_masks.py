"""Masks cancel in the whole sum, hide everything else, and are never the same again."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irene_model.errors import ConfigError, ProtocolError
from irene_model.secure.masks import Attempt, MaskKey, mask
from irene_model.secure.sums import add, empty
from irene_model.study import Member

KEYS = [MaskKey.from_bytes(bytes([n + 1]) * 32) for n in range(50)]


def roster(count: int) -> tuple[Member, ...]:
    return tuple(
        Member(name=f"site-{n:02}", node_key=f"{n:064x}", mask_key=KEYS[n].public)
        for n in range(count)
    )


def attempt(me: int = 0, sites: int = 4, **other: object) -> Attempt:
    fields = {
        "fingerprint": "f" * 64, "run": "run-1", "round": 3, "what": "train", "attempt": 1,
        "partners": roster(sites), "me": f"site-{me:02}",
    }  # fmt: skip
    return Attempt(**(fields | other))  # type: ignore[arg-type]


@settings(max_examples=6, deadline=None)
@given(sites=st.integers(3, 50), size=st.integers(1, 700), seed=st.integers(0, 2**32))
def test_the_sum_of_masked_vectors_is_the_plain_sum_to_the_last_bit(
    sites: int, size: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.integers(-(2**34), 2**34, (sites, size))
    total = empty(size)
    for me in rng.permutation(sites):
        add(total, mask(vectors[me], KEYS[me], attempt(int(me), sites)))
    assert np.array_equal(total, (vectors.sum(axis=0) % 2**32).astype(np.uint32))


def test_masks_longer_than_a_part_cancel_too() -> None:
    size = 2**18 + 5
    total = empty(size)
    for me in range(3):
        add(total, mask(np.full(size, me - 7), KEYS[me], attempt(me, 3)))
    assert np.array_equal(total.view(np.int32), np.full(size, -18, dtype=np.int32))


def test_without_one_site_nothing_is_left_but_even_bits() -> None:
    size, zeros = 40_000, np.zeros(40_000, dtype=np.int64)
    vectors = [mask(zeros, KEYS[me], attempt(me, 5)) for me in range(5)]
    for left_out in range(5):
        total = empty(size)
        for me in set(range(5)) - {left_out}:
            add(total, vectors[me])
        ones = np.unpackbits(total.view(np.uint8)).mean()
        assert abs(ones - 0.5) < 4.5 * 0.5 / np.sqrt(32 * size)
        assert len(np.unique(total)) > 0.99 * size


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 2}, {"round": 4}, {"run": "run-2"}, {"what": "validation"},
        {"fingerprint": "e" * 64}, {"partners": roster(5)},
        {"partners": (*roster(3), roster(4)[3].model_copy(update={"node_key": "a" * 64}))},
        {"partners": (*roster(3), roster(4)[3].model_copy(update={"mask_key": KEYS[9].public}))},
    ],
)  # fmt: skip
def test_another_attempt_has_other_masks_with_every_partner(change: dict[str, object]) -> None:
    """Also with those partners who stay the same: what is told of one attempt opens no other."""
    zeros, one, other = np.zeros(2000, dtype=np.int64), attempt(1), attempt(1, **change)
    for partner in roster(3):
        if partner.name != "site-01":
            assert one.info(partner) != other.info(partner)
    first, second = mask(zeros, KEYS[1], one), mask(zeros, KEYS[1], other)
    assert (first == second).mean() < 0.01
    # Three partners are shared by both; if one pair's mask were too, fewer values would differ.
    for sign in (1, -1):
        difference = first + np.uint32(sign % 2**32) * second
        assert abs(np.unpackbits(difference.view(np.uint8)).mean() - 0.5) < 0.01


def test_fields_that_run_into_each_other_are_told_apart() -> None:
    partner = roster(2)[1]
    texts = [("run-1", 11, 1), ("run-1", 1, 11), ("run-11", 1, 1), ("run-1,1", 1, 1)]
    infos = {
        attempt(run=run, round=round, attempt=number).info(partner) for run, round, number in texts
    }
    assert len(infos) == len(texts)


def test_both_sites_of_a_pair_derive_the_same_and_each_pair_its_own() -> None:
    infos = {}
    for me in range(4):
        for other in attempt(me).others:
            pair = frozenset((me, int(other.name[-2:])))
            infos.setdefault(pair, set()).add(attempt(me).info(other))
    assert all(len(found) == 1 for found in infos.values())
    assert len(set().union(*infos.values())) == 6


# The points of small order on X25519 and on its twist (RFC 7748 section 6.1 asks to refuse them).
LOW_ORDER = [
    bytes(32), bytes([1]) + bytes(31),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
    (2**255 - 20).to_bytes(32, "little"),
]  # fmt: skip
SPELT_TWICE = [
    (2**255 - 19 + 9).to_bytes(32, "little"),
    (9 + 2**255).to_bytes(32, "little"),
    bytes([255] * 32),
]


@pytest.mark.parametrize("key", [*LOW_ORDER, *SPELT_TWICE])
def test_a_key_that_hides_nothing_or_is_spelt_otherwise_is_refused(key: bytes) -> None:
    with pytest.raises(ProtocolError, match="mask key"):
        KEYS[0].agreed(key.hex())
    bad = roster(3)[2].model_copy(update={"mask_key": key.hex()})
    with pytest.raises(ProtocolError, match="mask key"):
        mask(np.zeros(3, dtype=np.int64), KEYS[0], attempt(partners=(*roster(2), bad)))


def test_a_sites_own_key_is_nobody_elses() -> None:
    with pytest.raises(ProtocolError, match="own mask key"):
        KEYS[0].agreed(KEYS[0].public)
    with pytest.raises(ProtocolError, match="another mask key for this site"):
        mask(np.zeros(3, dtype=np.int64), KEYS[1], attempt(0))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"partners": roster(2)}, "3 to 50"),
        ({"partners": tuple(reversed(roster(4)))}, "in order"),
        ({"partners": (roster(1)[0], *roster(3))}, "in order"),
        ({"me": "nobody"}, "not among"),
        ({"attempt": 0}, "from 1"),
        (
            {"partners": (*roster(2), roster(3)[2].model_copy(
                update={"mask_key": KEYS[1].public}))},
            "same mask key",
        ),
    ],
)  # fmt: skip
def test_an_attempt_that_makes_no_sense_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ProtocolError, match=says):
        attempt(**change)


def test_a_key_is_read_back_and_shows_itself_to_nobody() -> None:
    key = MaskKey.new()
    again = MaskKey.from_bytes(key.to_bytes())
    assert again.public == key.public != MaskKey.new().public
    assert key.to_bytes().hex() not in repr(key) + str(key.__dict__)
    with pytest.raises(ConfigError, match="32 bytes"):
        MaskKey.from_bytes(bytes(31))
    with pytest.raises(dataclasses.FrozenInstanceError):
        attempt().attempt = 3  # type: ignore[misc]


def test_the_derivation_is_that_of_the_rfcs() -> None:
    """Independent of the module: HKDF by hmac, ChaCha20 of the library's other interface."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    me, zeros = attempt(0, 3), np.zeros(100, dtype=np.int64)
    total = np.zeros(100, dtype=np.uint32)
    for other in me.others:
        secret = KEYS[0].agreed(other.mask_key)
        extracted = hmac.digest(bytes(32), secret, hashlib.sha256)
        derived = hmac.digest(extracted, me.info(other) + b"\x01", hashlib.sha256)
        stream = Cipher(ChaCha20(derived, bytes(16)), None).encryptor().update(bytes(400))
        total += np.frombuffer(stream, "<u4")  # site-00 is the lowest name
    assert np.array_equal(mask(zeros, KEYS[0], me), total)


def test_a_mask_takes_little_memory_beside_what_it_gives() -> None:
    size = 3_000_000
    values, tries = np.zeros(size, dtype=np.int64), attempt(0, 3)
    tracemalloc.start()
    masked = mask(values, KEYS[0], tries)
    beside = tracemalloc.get_traced_memory()[1] - masked.nbytes
    tracemalloc.stop()
    assert beside < 4 * 2**20
