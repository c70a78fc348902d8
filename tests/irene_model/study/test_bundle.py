"""All arrays as one: what comes back, and what a stranger may put into the bytes."""

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from irene_model.errors import ProtocolError
from irene_model.study.bundle import BUNDLE, bundled, unbundled
from irene_model.study.wire import ENCODINGS, Encoding, Packed, pack, unpack


def arrays() -> dict[str, np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return {
        "head.weight": rng.standard_normal((3, 5)).astype(np.float32),
        "empty": np.zeros((0, 4), np.float32),
        "scalar": np.float32(2.5).reshape(()),
        "counts": rng.integers(0, 9, (2, 2)),
        "ä b": rng.standard_normal(7).astype(np.float32),
    }


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_array_comes_back_as_it_went(encoding: Encoding) -> None:
    packed = {name: pack(array, encoding) for name, array in arrays().items()}
    (one,) = bundled(packed).values()
    assert dict(unbundled({BUNDLE: one})) == packed
    assert list(dict(unbundled({BUNDLE: one}))) == list(packed)


def test_no_arrays_are_no_bundle() -> None:
    assert bundled({}) == {}
    assert list(unbundled({})) == []


def bundle_of(index: Any, values: bytes, *, length: int | None = None) -> Packed:
    head = index if isinstance(index, bytes) else json.dumps(index).encode()
    data = struct.pack("<Q", len(head) if length is None else length) + head + values
    return Packed(encoding=BUNDLE, shape=(len(data),), data=data)


@pytest.mark.parametrize(
    ("index", "values", "length"),
    [
        ([["a", "float32", [2]]], b"1234567", None),  # a byte too few
        ([["a", "float32", [2]]], b"123456789", None),  # one too many
        ([["a", "float32", [1]], ["a", "float32", [1]]], b"12345678", None),
        ([["a", "float64", [1]]], b"12345678", None),
        ([["a", "float32", [-1]], ["b", "float32", [2]]], b"1234", None),
        ([["a", "float32", [2**40, 2**40]]], b"1234", None),
        ([["a", "float32", [0] * 33]], b"", None),
        ([["a", "float32", [1.0]]], b"1234", None),
        ([["a" * 1001, "float32", [1]]], b"1234", None),
        ([["a", "float32", "1"]], b"1234", None),
        ({"a": 1}, b"", None),
        (b"[" * 100_000, b"", None),
        (b"\xff\xfe", b"", None),
        (b"", b"", 2**64 - 1),
        (b"", b"", 1),
    ],
)
def test_a_bundle_that_lies_is_refused(index: Any, values: bytes, length: int | None) -> None:
    with pytest.raises(ProtocolError):
        list(unbundled({BUNDLE: bundle_of(index, values, length=length)}))


@pytest.mark.parametrize(
    "packed",
    [
        {"a": Packed(encoding="float32", shape=(1,), data=b"1234")},
        {BUNDLE: Packed(encoding="float32", shape=(1,), data=b"1234")},
        {BUNDLE: Packed(encoding=BUNDLE, shape=(3,), data=b"123")},
        {BUNDLE: Packed(encoding=BUNDLE, shape=(2**40,), data=b"1" * 20)},
        {BUNDLE: bundle_of([], b""), "a": bundle_of([], b"")},
    ],
)
def test_what_is_no_bundle_is_refused(packed: dict[str, Packed]) -> None:
    with pytest.raises(ProtocolError):
        list(unbundled(packed))


def cut(names: Sequence[str], at: int) -> Packed:
    whole = bundled({name: pack(arrays()[name], "float32") for name in names})[BUNDLE]
    return Packed(encoding=BUNDLE, shape=(at,), data=whole.data[:at])


def test_a_bundle_that_was_cut_anywhere_is_refused() -> None:
    names = ["head.weight", "counts"]
    whole = len(bundled({name: pack(arrays()[name], "float32") for name in names})[BUNDLE].data)
    for at in range(whole):
        with pytest.raises(ProtocolError):
            for _, each in unbundled({BUNDLE: cut(names, at)}):
                unpack(each)
