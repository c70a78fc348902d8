"""How arrays travel: exact where it must be, close where it may be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from irene_model.errors import ProtocolError
from irene_model.study.wire import (
    ENCODINGS,
    Array,
    Encoding,
    Packed,
    pack,
    rounded,
    travelling_bytes,
    unpack,
)

FLOATS = arrays(
    np.float32,
    array_shapes(min_dims=0, max_dims=3, max_side=5),
    elements=st.floats(-(2.0**100), 2.0**100, width=32),
)


@given(FLOATS, st.sampled_from(ENCODINGS))
def test_what_was_rounded_once_travels_exactly(array: Array, encoding: Encoding) -> None:
    once = rounded({"a": array}, encoding)["a"]
    again = unpack(pack(once, encoding))
    assert again.dtype == np.float32 and again.shape == array.shape
    np.testing.assert_array_equal(again, once)
    assert len(pack(array, encoding).data) == travelling_bytes({"a": array}, encoding)


@given(FLOATS)
def test_bfloat16_is_torchs(array: Array) -> None:
    expected = torch.from_numpy(array.copy()).bfloat16().float().numpy()
    np.testing.assert_array_equal(unpack(pack(array, "bfloat16")), expected)


@pytest.mark.parametrize("encoding", ["float32", "bfloat16", "float16"])
def test_a_nan_stays_one(encoding: Encoding) -> None:
    assert np.isnan(unpack(pack(np.array([1, np.nan], np.float32), encoding))[1])


def test_bfloat16_makes_no_infinity() -> None:
    largest = np.array([np.finfo(np.float32).max, np.finfo(np.float32).min])
    assert np.isfinite(unpack(pack(largest, "bfloat16"))).all()


def test_int8_is_within_half_a_unit_of_each_row() -> None:
    table = np.random.default_rng(0).standard_normal((6, 40)).astype(np.float32)
    table *= np.float32(10.0) ** np.arange(-3, 3, dtype=np.float32)[:, None]  # rows of all sizes
    error = np.abs(unpack(pack(table, "int8")) - table).max(axis=1)
    assert (error <= np.abs(table).max(axis=1) / 127 + 1e-12).all()
    assert len(pack(table, "int8").data) == 6 * 40 + 6


def test_counts_travel_as_they_are() -> None:
    for dtype in (np.int8, np.int64, np.float64):
        array = np.array([[1, 2], [3, -4]], dtype)
        again = unpack(pack(array, "int8"))
        assert again.dtype == dtype
        np.testing.assert_array_equal(again, array)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (Packed(encoding="float32", shape=(2**40, 2**40), data=b"abcd"), "not as many"),
        (Packed(encoding="int8", shape=(2**62, 2), data=b"abcd"), "not as many"),
        (Packed(encoding="float32", shape=(-1, -1), data=b"abcd"), "impossible"),
        (Packed(encoding="float32", shape=(1,) * 40, data=b"abcd"), "impossible"),
        (Packed(encoding="pickle", shape=(1,), data=b"abcd"), "unknown"),
        (Packed(encoding="plain object", shape=(1,), data=b"abcdefgh"), "unknown"),
    ],
)
def test_bytes_that_are_not_those_of_their_shape_are_refused_before_they_are_read(
    packed: Packed, said: str
) -> None:
    with pytest.raises(ProtocolError, match=said):
        unpack(packed)
